// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>
#include "random_cases.h"
#include "training_call.h"
#include "usable_isas.h"

// Everything that a call can have, in random mixtures: out, lse and every gradient against the dense
// float64 reference. FOVEA_TEST_SEED repeats a run, FOVEA_TEST_CASES says how many cases it has.
namespace fovea {
namespace {

const test::Engine kOwn{flex_attention, flex_attention_backward};
const test::Engine kDense{reference_attention, reference_backward};

using test::Draw;

uint64_t first_seed() { return test::number_from("FOVEA_TEST_SEED", 20261126); }
uint64_t last_seed() { return first_seed() + test::number_from("FOVEA_TEST_CASES", 60); }

test::TrainingSizes random_sizes(Draw& draw) {
  const auto length = [&] {
    constexpr int64_t kEdges[] = {0, 1, 7, 127, 129};
    return draw.chance(3) ? kEdges[draw.between(0, 4)] : draw.between(1, 150);
  };
  test::TrainingSizes s;
  s.batch = draw.between(1, 2);
  s.kv_heads = draw.between(1, 2);
  s.q_heads = s.kv_heads * draw.between(1, 3);
  s.q_len = length();
  s.kv_len = length();
  s.head_dim = draw.between(1, 40);
  s.value_dim = draw.between(1, 40);
  if (draw.chance(4)) s.kv_batch = 1;
  return s;
}

/// One random call, and what describes it.
template <class T>
struct Mixture {
  Mixture(uint64_t seed, Draw draw) : call(random_sizes(draw), seed) {
    const test::TrainingSizes& s = call.s;
    text = std::to_string(s.q_heads) + "/" + std::to_string(s.kv_heads) + " heads, " +
           std::to_string(s.q_len) + " x " + std::to_string(s.kv_len) + ", dims " +
           std::to_string(s.head_dim) + " and " + std::to_string(s.value_dim);
    choose_sequences(draw);
    choose_score(draw);
    choose_weight(draw);
    if (draw.chance(3)) add("sinks"), call.options.sinks = call.normal({s.q_heads});
    if (draw.chance(5)) add("no dlse"), call.saved.dlse.reset();
    choose_mask(draw);
  }

  test::TrainingCall<T> call;
  std::string text;

 private:
  void add(const char* what) { text += std::string(", ") + what; }

  void choose_sequences(Draw& draw) {
    const test::TrainingSizes& s = call.s;
    q_len = s.q_len;
    kv_len = s.kv_len;
    count = s.batch;
    if (s.batch == 1 && draw.chance(2)) {
      add("jagged");
      count = draw.between(1, 5);
      const auto cut = [&](std::vector<int32_t>& begins, int64_t length, int64_t& longest) {
        begins = {0, static_cast<int32_t>(length)};
        for (int64_t i = 1; i < count; ++i) {
          begins.push_back(static_cast<int32_t>(draw.between(0, length)));
        }
        std::ranges::sort(begins);
        longest = 0;
        for (std::size_t i = 1; i < begins.size(); ++i) {
          longest = std::max<int64_t>(longest, begins[i] - begins[i - 1]);
        }
      };
      cut(q_begins, s.q_len, q_len);
      cut(kv_begins, s.kv_len, kv_len);
      call.options.cu_seqlens_q = view(q_begins.data(), {count + 1});
      call.options.cu_seqlens_kv = view(kv_begins.data(), {count + 1});
    } else if (draw.chance(3)) {
      add("lengths of keys");
      for (int64_t b = 0; b < s.batch; ++b) {
        lengths.push_back(static_cast<int32_t>(draw.between(0, s.kv_len)));
      }
      call.options.kv_lens = view(lengths.data(), {s.batch});
    }
  }

  void choose_score(Draw& draw) {
    const auto heads = call.s.q_heads, all = q_len + kv_len + 1;
    FlexOptions& options = call.options;
    switch (draw.between(0, 4)) {
      case 1: {
        add("slopes");
        const auto slopes = capture(call.normal({count, heads}));
        options.score_mod = score_mod([=](auto s, auto b, auto h, auto q, auto kv) {
          return s + slopes[b][h] * (q - kv) * 4 / all;
        });
        break;
      }
      case 2: {
        add("diagonal");
        const auto bias = capture(call.normal({heads, all}));
        options.score_mod = score_mod([=, shift = kv_len](auto s, auto, auto h, auto q, auto kv) {
          return 2 * tanh(s / 2) + bias[h][q - kv + shift];
        });
        break;
      }
      case 3: {
        add("rows and columns");
        const auto row = capture(call.normal({count, all})), column = capture(call.normal({all}));
        options.score_mod = score_mod([=](auto s, auto b, auto, auto q, auto kv) {
          return s * sigmoid(row[b][q]) + column[kv];
        });
        break;
      }
      case 4: {
        add("gathered");
        const auto table = capture(call.normal({5, 3}));
        options.score_mod = score_mod(
            [=](auto s, auto b, auto, auto q, auto kv) { return s + table[(q + b) % 5][kv % 3]; });
        break;
      }
      default: break;
    }
  }

  void choose_weight(Draw& draw) {
    static constexpr int64_t kSeed = 5, kOffset = 3;
    switch (draw.between(0, 4)) {
      case 1: {
        add("weights changed");
        const auto gate = capture(call.normal({kv_len + 1}));
        call.options.weight_mod =
            weight_mod([=](auto w, auto, auto, auto, auto kv) { return w * w + w * gate[kv]; });
        break;
      }
      case 2:
        add("dropout");
        call.options.weight_mod = dropout(0.25, view(&kSeed, {1}), view(&kOffset, {1}));
        break;
      default: break;
    }
  }

  void choose_mask(Draw& draw) {
    const Causal kCausal[] = {Causal::none, Causal::none, Causal::upper_left, Causal::lower_right};
    call.options.causal = kCausal[draw.between(0, 3)];
    if (call.options.causal != Causal::none) add("causal");
    const BlockMaskOptions sizes{
        .q_len = q_len,
        .kv_len = kv_len,
        .batch = count,
        .heads = call.s.q_heads,
        .block_size = {.q = draw.between(1, 40), .kv = draw.between(1, 40)}};
    switch (draw.between(0, 3)) {
      case 1:
        add("window");
        call.options.block_mask = create_block_mask(
            [](auto b, auto h, auto q, auto kv) { return abs(q - kv) < 9 + 20 * h + 9 * b; },
            sizes);
        break;
      case 2:
        add("columns hidden");
        call.options.block_mask = create_block_mask(
            [](auto, auto, auto q, auto kv) { return (q / 20 + kv) % 3 != 0; }, sizes);
        break;
      default: break;
    }
  }

  int64_t q_len = 0, kv_len = 0, count = 0;  // of the longest sequence, and sequences
  std::vector<int32_t> q_begins, kv_begins, lengths;
};

template <class T>
test::Gradients<T> outputs_of(const test::TrainingCall<T>& call, const test::Engine& engine) {
  call.run_forward(engine);
  test::Gradients<T> result;
  const auto copy = [](const TensorView& tensor, std::vector<T>& to) {
    const T* data = static_cast<const T*>(tensor.data);
    to.assign(data, data + tensor.numel());
  };
  copy(call.saved.out, result.query);
  copy(call.saved.lse, result.key);
  return result;
}

template <class T>
void expect_the_reference(uint64_t seed, double tolerance) {
  Mixture<T> mixture(seed, Draw(seed));
  auto& call = mixture.call;
  SCOPED_TRACE("FOVEA_TEST_SEED=" + std::to_string(seed) + ": " + mixture.text);
  const auto pool = make_thread_pool(2 + static_cast<int>(seed % 4)), one = make_thread_pool(1);
  call.options.executor = pool.get();
  const auto outputs = outputs_of(call, kDense);
  const auto gradients = call.run_backward(kDense);
  EXPECT_TRUE(test::are_near(outputs_of(call, kOwn), outputs, tolerance));
  const auto got = call.run_backward(kOwn);
  EXPECT_TRUE(test::are_near(got, gradients, tolerance));
  call.options.executor = one.get();
  EXPECT_TRUE(call.run_backward(kOwn) == got) << "one thread";
}

class MixedTraining : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Isa, MixedTraining, ::testing::ValuesIn(test::usable_isas()),
                         [](const auto& test) { return test.param; });

TEST_P(MixedTraining, Float32EqualsTheReference) {
  const Environment environment("FOVEA_ISA", GetParam());
  const uint64_t first = first_seed();
  RecordProperty("seed", std::to_string(first));
  for (uint64_t seed = first; seed < last_seed(); ++seed) expect_the_reference<float>(seed, 1e-5);
}

TEST(MixedTrainingFloat64, EqualsTheReference) {
  const uint64_t first = first_seed();
  RecordProperty("seed", std::to_string(first));
  for (uint64_t seed = first; seed < last_seed(); ++seed) expect_the_reference<double>(seed, 1e-11);
}

// Nothing in the batch: what all of it shares gets zeros, like every sum of no terms.
TEST(MixedTrainingFloat32, AnEmptyBatchGivesZeros) {
  test::TrainingSizes sizes{.batch = 0, .q_heads = 2, .q_len = 9, .kv_len = 11};
  sizes.kv_batch = 1;
  for (const std::string& isa : test::usable_isas()) {
    const Environment environment("FOVEA_ISA", isa);
    test::TrainingCall<float> call(sizes);
    const auto slopes = capture(call.normal({2})), gate = capture(call.normal({11}));
    call.options.sinks = call.normal({2});
    call.options.score_mod =
        score_mod([=](auto s, auto, auto h, auto q, auto kv) { return s + slopes[h] * (q - kv); });
    call.options.weight_mod =
        weight_mod([=](auto w, auto, auto, auto, auto kv) { return w * gate[kv]; });
    call.run_forward(kOwn);
    const auto got = call.run_backward(kOwn);
    EXPECT_EQ(got.key.size(), 11u * 2);
    EXPECT_EQ(got.score.at(0).size(), 2u);
    for (const float x : got.all()) EXPECT_EQ(x, 0.0f) << isa;
  }
}

}  // namespace
}  // namespace fovea
