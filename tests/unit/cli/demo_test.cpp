// SPDX-License-Identifier: Apache-2.0
#include "demo.h"

#include <cmath>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "temporary_folder.h"

namespace fovea::cli {
namespace {

class Demo : public testing::Test {
 protected:
  void SetUp() override {
    folder_.write("a.txt", std::string(400, 'a') + "the quick brown fox");
    folder_.write("b.txt", std::string(300, 'b') + "jumps over the lazy dog");
    DemoOptions options;
    options.text = folder_.path().string();
    options.out = folder_.path().string();
    options.length = 260;
    options.heads = 2;
    options.head_dim = 16;
    setting_.emplace(prepare_demo(options));
  }

  DemoRow run(Variant variant) {
    return run_demo_row(*setting_, std::move(variant), [](const std::string&) {});
  }

  test::TemporaryFolder folder_;
  std::optional<DemoSetting> setting_;
};

TEST_F(Demo, RowOfARightVariant) {
  DemoRow row = run(make_demo_variant(*setting_, "alibi"));
  EXPECT_TRUE(row.right);
  EXPECT_LE(row.error, setting_->allowed_error);
  EXPECT_EQ(row.blocks.total(), 9);
  EXPECT_EQ(row.mask_line, "kv <= q");
  EXPECT_EQ(row.mask_classes, "diagonal 1");
  EXPECT_EQ(row.score_line, "score + t0[h] * f32(kv - q)");
  EXPECT_GT(row.gflops, 0);
  EXPECT_GT(row.peak_gflops, 0);
  draw_demo_row(*setting_, row);
  ASSERT_EQ(row.pictures.size(), 3U);
  for (const std::string& name : row.pictures) {
    EXPECT_GT(std::filesystem::file_size(folder_.path() / name), 100U) << name;
  }
  const auto json = nlohmann::json::parse(demo_json(*setting_, {row}));
  EXPECT_EQ(json["rows"][0]["variant"], "alibi");
  EXPECT_EQ(json["rows"][0]["right"], true);
}

TEST_F(Demo, RowThatThePlainFormulaContradicts) {
  Variant variant = make_demo_variant(*setting_, "causal");
  variant.plain = make_demo_variant(*setting_, "noop").plain;
  const DemoRow row = run(std::move(variant));
  EXPECT_FALSE(row.right);
  EXPECT_LE(row.error, setting_->allowed_error);
  EXPECT_GT(row.plain_error, 2 * setting_->allowed_error);
  EXPECT_NE(demo_lines(row).find("WRONG"), std::string::npos);
}

// In the last row of one head alone: what follows must not hide it.
TEST_F(Demo, OneNanIsWrong) {
  Variant variant = make_demo_variant(*setting_, "noop");
  variant.score_mod = score_mod([](auto score, auto, auto h, auto q, auto) {
    return where(h == 0 && q == 259, score + std::nan(""), score);
  });
  const DemoRow row = run(std::move(variant));
  EXPECT_TRUE(std::isnan(row.error));
  EXPECT_TRUE(std::isnan(row.plain_error));
  EXPECT_FALSE(row.right);
}

TEST_F(Demo, LinesFitTheTerminal) {
  for (const char* name : {"natten", "t5_bias", "noop"}) {
    const std::string lines = demo_lines(run(make_demo_variant(*setting_, name)));
    std::size_t width = 0;
    for (const char c : lines) {
      if (c == '\n') width = 0;
      if ((static_cast<unsigned char>(c) & 0xC0) != 0x80 && c != '\n') ++width;
      ASSERT_LE(width, 120U) << lines;
    }
  }
}

}  // namespace
}  // namespace fovea::cli
