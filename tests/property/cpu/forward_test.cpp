// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <gtest/gtest.h>

#include "random_cases.h"
#include "unit/cpu/attention_harness.h"

/// Random shapes, masks, mods, block sizes and numbers of threads: right, and the same bits for every
/// number of threads. FOVEA_TEST_SEED repeats a run, FOVEA_TEST_CASES says how many cases one has.
namespace fovea::cpu::testing {
namespace {

using test::Draw;
using test::number_from;

Program random_mask(Draw& draw) {
  const int64_t a = draw.between(1, 60), b = draw.between(0, 40);
  switch (draw.between(0, 5)) {
    case 0: return mask_mod([=](auto, auto, auto q, auto kv) { return q + b >= kv; });
    case 1: return mask_mod([=](auto, auto, auto q, auto kv) { return abs(q - kv) < a; });
    case 2: return mask_mod([=](auto, auto, auto q, auto kv) { return q / a == kv / a; });
    case 3:
      return mask_mod([=](auto, auto h, auto q, auto kv) { return (q * 3 + kv + h) % a != b % a; });
    case 4:
      return mask_mod([=](auto bi, auto, auto q, auto kv) { return kv < a * (bi + 1) && q > b; });
    default: return mask_mod([=](auto, auto h, auto, auto kv) { return kv % (h + 2) == 0; });
  }
}

Program random_score(Draw& draw) {
  const auto a = static_cast<float>(draw.between(1, 30)) / 10.0f;
  switch (draw.between(0, 3)) {
    case 0:
      return score_mod([=](auto s, auto, auto h, auto q, auto kv) {
        return s - a * 0.02f * (h + 1) * abs(q - kv);
      });
    case 1: return score_mod([=](auto s, auto, auto, auto, auto) { return a * tanh(s / a); });
    case 2:
      return score_mod(
          [=](auto s, auto b, auto, auto q, auto) { return s * (1 + b) + 0.1f * (q % 3); });
    default: return {};
  }
}

Inputs random_inputs(uint64_t seed) {
  Draw draw(seed);
  Shape shape;
  shape.batch = draw.between(1, 2);
  shape.kv_heads = draw.between(1, 2);
  shape.q_heads = shape.kv_heads * draw.between(1, 3);
  shape.q_len = draw.chance(3) ? draw.between(0, 9) : draw.between(1, 260);
  shape.kv_len = draw.chance(3) ? draw.between(0, 9) : draw.between(1, 600);
  shape.head_dim = draw.between(1, 40);
  shape.value_dim = draw.between(1, 70);
  Inputs inputs(shape, seed);
  inputs.options.score_mod = random_score(draw);
  if (draw.chance(4) || shape.q_len == 0 || shape.kv_len == 0) return inputs;
  const BlockSize size{draw.between(1, 140), draw.between(1, 140)};
  inputs.options.block_mask = create_block_mask(random_mask(draw), {.q_len = shape.q_len,
                                                                    .kv_len = shape.kv_len,
                                                                    .batch = shape.batch,
                                                                    .heads = shape.q_heads,
                                                                    .block_size = size});
  return inputs;
}

class ForwardProperty : public ::testing::TestWithParam<NamedKernels> {};
INSTANTIATE_TEST_SUITE_P(Isa, ForwardProperty, ::testing::ValuesIn(all_kernels()), name_of_kernels);

TEST_P(ForwardProperty, RightAndIndependentOfThreads) {
  const uint64_t first = number_from("FOVEA_TEST_SEED", 20240607);
  const uint64_t cases = number_from("FOVEA_TEST_CASES", 60);
  ASSERT_GT(cases, 0U);
  RecordProperty("seed", std::to_string(first));
  for (uint64_t seed = first; seed < first + cases; ++seed) {
    const Inputs inputs = random_inputs(seed);
    const Result expected = run_reference(inputs);
    const Result one = run_kernels(GetParam(), inputs, 1);
    const std::string where =
        "FOVEA_TEST_SEED=" + std::to_string(seed) + ", " + to_string(inputs.shape);
    ASSERT_TRUE(is_near(one, expected, 2e-5)) << where;
    const int threads = 2 + static_cast<int>(seed % 6);
    ASSERT_TRUE(run_kernels(GetParam(), inputs, threads) == one)
        << threads << " threads, " << where;
  }
}

}  // namespace
}  // namespace fovea::cpu::testing
