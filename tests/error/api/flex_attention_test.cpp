// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>

namespace fovea {
namespace {

struct Call {
  std::vector<float> data = std::vector<float>(64);
  TensorView tensor = view(data.data(), {1, 2, 4, 8});
  FlexOptions options = {};

  template <class F>
  static std::string message_of(F&& f) {
    try {
      f();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  std::string run() {
    return message_of([&] { flex_attention(tensor, tensor, tensor, tensor, options); });
  }
  std::string row(int64_t b, int64_t h, int64_t q, std::size_t size) {
    std::vector<double> out(size);
    return message_of([&] { reference_row(tensor, tensor, tensor, options, b, h, q, out); });
  }
};

TEST(FlexAttentionError, UnknownBackend) {
  Call call;
  call.options.backend = "abacus";
  EXPECT_EQ(call.run(),
            "[flex_attention] backend must be one of backends(): expected cpu, got 'abacus'");
}

TEST(FlexAttentionError, NoBackendCanNamesEveryReason) {
  Call call;
  call.tensor.device.type = DeviceType::cuda;
  const std::string got = call.run();
  EXPECT_EQ(got.find("[flex_attention] no backend can run this problem: expected one of cpu, got "),
            0U)
      << got;
  for (const char* name : {"query", "key", "value", "out"}) {
    const std::string reason = std::string(name) + " lies on another device";
    EXPECT_NE(got.find(reason), std::string::npos) << reason << " in " << got;
  }
}

TEST(FlexAttentionError, AWorkspaceThatIsTooSmall) {
  Call call;
  alignas(64) std::byte memory[64];
  call.options.workspace = {memory, 1};
  const std::size_t bytes =
      workspace_bytes(call.tensor, call.tensor, call.tensor, call.tensor, call.options);
  EXPECT_EQ(call.run(),
            "[flex_attention] workspace must hold what workspace_bytes says: expected at least " +
                std::to_string(bytes) + ", got 1");
}

TEST(FlexAttentionError, AWorkspaceThatIsNotAligned) {
  Call call;
  std::vector<std::byte> memory(1 << 20);
  void* data = memory.data();
  std::size_t space = memory.size();
  ASSERT_NE(std::align(64, 64, data, space), nullptr);
  call.options.workspace = {static_cast<std::byte*>(data) + 4, space - 4};
  EXPECT_EQ(call.run(),
            "[flex_attention] workspace must be aligned: expected a multiple of 64, got "
            "an address 4 bytes beyond one");
}

TEST(FlexAttentionError, OtherFunctionsNameThemselves) {
  Call call;
  call.options.scale = 1 / 0.0;
  const auto text = [](const char* name) {
    return "[" + std::string(name) + "] scale must be finite: expected a finite number, got inf";
  };
  const TensorView& t = call.tensor;
  EXPECT_EQ(Call::message_of([&] { workspace_bytes(t, t, t, t, call.options); }),
            text("workspace_bytes"));
  EXPECT_EQ(Call::message_of([&] { prepare(t, t, t, t, call.options); }), text("prepare"));
  EXPECT_EQ(Call::message_of([&] { explain(t, t, t, t, call.options); }), text("explain"));
  EXPECT_EQ(Call::message_of([&] { reference_attention(t, t, t, t, call.options); }),
            text("reference_attention"));
}

TEST(ReferenceRowError, Indices) {
  Call call;
  EXPECT_EQ(call.row(1, 0, 0, 8),
            "[reference_row] b must be a batch index: expected 0 to 0, got 1");
  EXPECT_EQ(call.row(0, 2, 0, 8), "[reference_row] h must be a query head: expected 0 to 1, got 2");
  EXPECT_EQ(call.row(0, 0, -1, 8),
            "[reference_row] q must be a query position: expected 0 to 3, got -1");
  EXPECT_EQ(call.row(0, 0, 0, 7),
            "[reference_row] out must have one entry a value dimension: expected 8, got 7");
}

}  // namespace
}  // namespace fovea
