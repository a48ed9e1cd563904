// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>

namespace fovea {
namespace {

struct Call {
  std::vector<float> data = std::vector<float>(64), gradient = std::vector<float>(64);
  TensorView tensor = view(data.data(), {1, 2, 4, 8});
  BackwardInputs saved{tensor, view(data.data(), {1, 2, 4}), tensor};
  FlexGradients gradients{.query = view(gradient.data(), {1, 2, 4, 8})};
  FlexOptions options = {};

  template <class F>
  std::string message_of(F&& function) const {
    try {
      function(tensor, tensor, tensor, saved, gradients, options);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  std::string run() const { return message_of(flex_attention_backward); }
};

TEST(FlexAttentionBackwardError, UnknownBackend) {
  Call call;
  call.options.backend = "abacus";
  EXPECT_EQ(
      call.run(),
      "[flex_attention_backward] backend must be one of backends(): expected cpu, got 'abacus'");
}

TEST(FlexAttentionBackwardError, NoBackendCanNamesEveryReason) {
  Call call;
  for (TensorView* tensor :
       {&call.tensor, &call.saved.out, &call.saved.lse, &call.saved.dout, &call.gradients.query}) {
    tensor->device.type = DeviceType::cuda;
  }
  const std::string got = call.run();
  EXPECT_EQ(got.find("[flex_attention_backward] no backend can run this problem: expected one of "
                     "cpu, got "),
            0U)
      << got;
  for (const char* name : {"query", "key", "value", "out", "lse", "dout", "gradient of query"}) {
    const std::string reason = std::string(name) + " lies on another device";
    EXPECT_NE(got.find(reason), std::string::npos) << reason << " in " << got;
  }
}

TEST(FlexAttentionBackwardError, AWorkspaceThatIsTooSmall) {
  Call call;
  alignas(64) std::byte memory[64];
  const std::size_t bytes = backward_workspace_bytes(call.tensor, call.tensor, call.tensor,
                                                     call.saved, call.gradients, call.options);
  call.options.workspace = {memory, 1};
  EXPECT_EQ(call.run(),
            "[flex_attention_backward] workspace must hold what workspace_bytes says: expected at "
            "least " +
                std::to_string(bytes) + ", got 1");
}

TEST(FlexAttentionBackwardError, NothingIsWrittenBeforeAnError) {
  Call call;
  call.options.scale = 1 / 0.0;
  call.gradient.assign(64, 7.0F);
  EXPECT_EQ(call.run(),
            "[flex_attention_backward] scale must be finite: expected a finite number, got inf");
  EXPECT_EQ(call.gradient, std::vector<float>(64, 7.0F));
}

TEST(FlexAttentionBackwardError, OtherFunctionsNameThemselves) {
  Call call;
  call.options.scale = 1 / 0.0;
  const auto text = [](const char* name) {
    return "[" + std::string(name) + "] scale must be finite: expected a finite number, got inf";
  };
  EXPECT_EQ(call.message_of(backward_workspace_bytes), text("backward_workspace_bytes"));
  EXPECT_EQ(call.message_of(explain_backward), text("explain_backward"));
  EXPECT_EQ(call.message_of(reference_backward), text("reference_backward"));
}

}  // namespace
}  // namespace fovea
