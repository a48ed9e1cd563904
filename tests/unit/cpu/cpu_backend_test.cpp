// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/cpu_backend.h"

#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "unit/cpu/attention_harness.h"

namespace fovea::cpu {
namespace {

using testing::Inputs;
using testing::Result;

struct Problem {
  explicit Problem(const Inputs& inputs) {
    const auto& s = inputs.shape;
    out.resize(static_cast<std::size_t>(s.batch * s.q_heads * s.q_len * inputs.value_dim()));
    const Dims sizes{s.batch, s.q_heads, s.q_len, inputs.value_dim()};
    problem = attention::validate("test", inputs.query, inputs.key, inputs.value,
                                  view(out.data(), sizes), inputs.options);
  }
  std::vector<float> out;
  attention::Problem problem;
};

std::string key_of(const attention::Backend& backend, const attention::Problem& problem) {
  std::string key;
  backend.plan_key(problem, key);
  return key;
}

TEST(CpuBackend, RunsAPlanWithEachInstructionSet) {
  Inputs inputs({.q_len = 40, .kv_len = 50, .head_dim = 16, .q_heads = 2, .kv_heads = 1});
  inputs.options.score_mod = score_mod(
      [](auto s, auto, auto h, auto q, auto kv) { return s - 0.1f * (h + 1) * abs(q - kv); });
  inputs.options.block_mask =
      create_block_mask([](auto, auto, auto q, auto kv) { return q + 10 >= kv; },
                        {.q_len = 40, .kv_len = 50, .block_size = {16, 16}});
  const Result expected = testing::run_reference(inputs);
  std::set<std::string> keys;
  for (const Isa isa : usable_isas()) {
    Problem p(inputs);
    const auto backend = make_cpu_backend(isa);
    ASSERT_TRUE(backend->can_run(p.problem).ok());
    EXPECT_TRUE(keys.insert(key_of(*backend, p.problem)).second) << "the plan depends on the ISA";
    const auto plan = backend->prepare(p.problem);
    EXPECT_NE(plan->describe().find(name_of(isa)), std::string::npos) << plan->describe();
    const auto executor = make_thread_pool(2);
    const std::size_t bytes = backend->workspace_bytes(*plan, p.problem, *executor);
    std::vector<std::byte> memory(bytes + 64);
    void* data = memory.data();
    std::size_t space = memory.size();
    ASSERT_NE(std::align(64, bytes, data, space), nullptr);
    backend->forward(*plan, p.problem, {data, bytes}, *executor);
    EXPECT_TRUE(testing::is_near({p.out, expected.lse, {}}, expected)) << name_of(isa);
  }
}

TEST(CpuBackend, DescribesItself) {
  const BackendInfo info = make_cpu_backend(Isa::baseline)->info();
  EXPECT_EQ(info.name, "cpu");
  EXPECT_TRUE(info.available);
  EXPECT_NE(info.detail.find("baseline"), std::string::npos) << info.detail;
}

TEST(CpuBackend, SaysWhichWayACallTakes) {
  const auto backend = make_cpu_backend(Isa::baseline);
  const Problem many(Inputs({.q_len = 40, .kv_len = 50, .head_dim = 16}));
  const Problem few(Inputs({.q_len = 2, .kv_len = 50, .head_dim = 16, .q_heads = 4}));
  EXPECT_EQ(backend->describe(many.problem),
            "forward: tiles of up to 128 queries x 256 keys; products in f32, sums in f32\n");
  EXPECT_EQ(backend->describe(few.problem),
            "decode: up to 8 rows a key head, keys and values read in place in pieces of 1024\n");
}

TEST(CpuBackend, PlansDoNotDependOnLengths) {
  const auto backend = make_cpu_backend();
  const Problem a(Inputs({.q_len = 40, .kv_len = 50, .head_dim = 16}));
  const Problem b(Inputs({.q_len = 41, .kv_len = 99, .head_dim = 16}));
  const Problem c(Inputs({.q_len = 40, .kv_len = 50, .head_dim = 17}));
  EXPECT_EQ(key_of(*backend, a.problem), key_of(*backend, b.problem));
  EXPECT_NE(key_of(*backend, a.problem), key_of(*backend, c.problem));

  // Nor on how sequences are cut.
  const std::vector<int32_t> lengths{3, 50, 0}, ends{0, 1, 30, 40}, kv_ends{0, 10, 10, 50};
  Inputs padded({.q_len = 2, .kv_len = 50, .head_dim = 16, .batch = 3});
  padded.options.kv_lens = view(lengths.data(), {3});
  Inputs jagged({.q_len = 40, .kv_len = 50, .head_dim = 16});
  jagged.options.cu_seqlens_q = view(ends.data(), {4});
  jagged.options.cu_seqlens_kv = view(kv_ends.data(), {4});
  for (const Inputs* inputs : {&padded, &jagged}) {
    EXPECT_EQ(key_of(*backend, a.problem), key_of(*backend, Problem(*inputs).problem));
  }
}

}  // namespace
}  // namespace fovea::cpu
