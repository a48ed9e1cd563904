// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/error.h>
#include "attention/dispatch.h"
#include "attention/explain.h"
#include "attention/validate_backward.h"

namespace fovea::attention {
namespace {

struct FakePlan final : Plan {
  std::string describe() const override { return "a fake"; }
};

// Forward only.
class FakeBackend : public Backend {
 public:
  BackendInfo info() const override { return {.name = "fake", .available = true, .detail = ""}; }
  Support can_run(const Problem&) const override { return {}; }
  void plan_key(const Problem&, std::string&) const override {}
  std::shared_ptr<const Plan> prepare(const Problem&) const override {
    return std::make_shared<FakePlan>();
  }
  std::size_t workspace_bytes(const Plan&, const Problem&, const Executor&) const override {
    return 0;
  }
  void forward(const Plan&, const Problem&, const Workspace&, Executor&) const override {}
};

class FakeBackward final : public FakeBackend {
 public:
  Support can_run_backward(const BackwardProblem&) const override { return {}; }
  void backward_plan_key(const BackwardProblem&, std::string&) const override {}
  std::shared_ptr<const Plan> prepare_backward(const BackwardProblem& problem) const override {
    prepared = problem;
    return std::make_shared<FakePlan>();
  }
  std::size_t backward_workspace_bytes(const Plan&, const BackwardProblem&,
                                       const Executor&) const override {
    return 0;
  }
  mutable BackwardProblem prepared;
};

class DispatchBackwardTest : public testing::Test {
 protected:
  DispatchBackwardTest() { backends.add("fake", backend); }
  TensorView tensor(const Dims& sizes) { return view(memory_.data(), sizes); }

  BackwardChoice choose() {
    checked = validate_backward("test", query, key, key, saved, gradients, options);
    return choose_backward("test", backends, checked, "");
  }

  // t0 is dropped by simplification, and t1 is read first after it.
  void use_program() {
    const TensorView captures[] = {view(a, {2}), view(b, {2}), view(c, {2})};
    options.score_mod = parse_program(
        "score_mod(score, b, h, q, kv; t0: f32[1], t1: f32[1], t2: f32[1]) {\n"
        "  return where(q == q, score * t2[h], t0[h]) + t1[h]\n}\n",
        captures);
    gradients.score_captures.clear();
    for (const TensorView& t : options.score_mod.captures()) {  // in the program's own order
      gradients.score_captures.push_back(view(t.data == a ? da : t.data == b ? db : dc, {2}));
    }
  }
  void want_only(const float* table) {
    const auto captures = options.score_mod.captures();
    for (std::size_t slot = 0; slot < captures.size(); ++slot) {
      if (captures[slot].data != table) gradients.score_captures[slot] = {};
    }
  }

  std::vector<float> memory_ = std::vector<float>(1024);
  TensorView query = tensor({1, 2, 3, 4}), key = tensor({1, 2, 5, 4});
  BackwardInputs saved{tensor({1, 2, 3, 4}), tensor({1, 2, 3}), tensor({1, 2, 3, 4})};
  FlexGradients gradients{.query = tensor({1, 2, 3, 4})};
  FlexOptions options;
  float a[2], b[2], c[2], da[2], db[2], dc[2];
  std::shared_ptr<FakeBackward> backend = std::make_shared<FakeBackward>();
  BackendRegistry backends;
  BackwardProblem checked;
};

TEST_F(DispatchBackwardTest, GradientsFollowTheirTensorsThroughSimplification) {
  use_program();
  const BackwardChoice choice = choose();
  const auto captures = choice.problem.forward.score_mod.captures();
  ASSERT_EQ(captures.size(), 2U);
  ASSERT_EQ(choice.problem.score_captures.size(), 2U);
  for (std::size_t slot = 0; slot < 2; ++slot) {
    const void* expected = captures[slot].data == b ? db : dc;
    EXPECT_EQ(choice.problem.score_captures[slot].data, expected);
  }
  EXPECT_NE(captures[0].data, captures[1].data);
  ASSERT_EQ(choice.dropped.size(), 1U);
  EXPECT_EQ(choice.dropped[0].data, da);
}

TEST_F(DispatchBackwardTest, WhatIsWantedIsDerived) {
  use_program();
  want_only(b);
  const BackwardChoice choice = choose();
  ASSERT_NE(choice.problem.score_joint, nullptr);
  ASSERT_EQ(choice.problem.score_joint->captures.size(), 1U);
  const auto slot = static_cast<std::size_t>(choice.problem.score_joint->captures[0].slot);
  EXPECT_EQ(choice.problem.forward.score_mod.captures()[slot].data, b);
  EXPECT_EQ(choice.problem.weight_joint, nullptr);
  EXPECT_TRUE(choice.dropped.empty());
  EXPECT_EQ(backend->prepared.score_joint, choice.problem.score_joint);
}

TEST_F(DispatchBackwardTest, PlansAreKeptByWhatIsWanted) {
  use_program();
  const auto plan = choose().plan;
  EXPECT_EQ(choose().plan, plan);
  want_only(c);
  EXPECT_NE(choose().plan, plan);
  use_program();
  EXPECT_EQ(choose().plan, plan);
  gradients.key = tensor({1, 2, 5, 4});
  EXPECT_NE(choose().plan, plan);
  gradients.key = {};
  options.weight_mod = weight_mod([](auto w, auto, auto, auto, auto) { return w * 2; });
  EXPECT_NE(choose().plan, plan);
}

TEST_F(DispatchBackwardTest, AForwardPlanIsAnother) {
  const auto plan = choose().plan;
  const Choice forward = fovea::attention::choose("test", backends, checked.forward, "");
  EXPECT_NE(forward.plan, plan);
}

TEST_F(DispatchBackwardTest, ABackendWithoutABackwardPassSaysSo) {
  BackendRegistry forward_only;
  forward_only.add("fake", std::make_shared<FakeBackend>());
  choose();
  try {
    choose_backward("test", forward_only, checked, "");
    FAIL() << "no error";
  } catch (const Unsupported& error) {
    ASSERT_EQ(error.reasons().size(), 1U);
    EXPECT_EQ(error.reasons()[0], "fake: the fake backend has no backward pass");
  }
}

TEST_F(DispatchBackwardTest, ExplainSaysWhereGradientsComeFrom) {
  const TensorView captures[] = {view(a, {2}), view(b, {2}), view(c, {2})};
  options.score_mod = parse_program(
      "score_mod(score, b, h, q, kv; t0: f32[1], t1: f32[1], t2: f32[1]) {\n"
      "  return where(q == q, score, t0[h]) + floor(t1[h]) + t2[h]\n}\n",
      captures);
  gradients.score_captures = {view(da, {2}), view(db, {2}), view(dc, {2})};
  const BackwardChoice choice = choose();
  const std::string text = explain(checked, choice, backends, default_executor());
  for (const char* part : {
           "gradients wanted: query, captures of score_mod\n",
           "derivative of score_mod(score, b, h, q, kv;",
           "# scalar per head, value tile",
           "gradient of t0 of score_mod, as traced: 0, because the result does not depend on it\n",
           "gradient of t1 of score_mod, as traced: 0, because there is no gradient through floor",
           "captured tensors get 1 contributions from each",
           "backend: fake\n  a fake\n",
       }) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
  EXPECT_NE(text.find("gradient of t2 of score_mod, as traced: d t"), std::string::npos) << text;
}

}  // namespace
}  // namespace fovea::attention
