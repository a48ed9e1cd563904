// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <gtest/gtest.h>

#include <fovea/error.h>
#include "core/fail.h"

namespace fovea {
namespace {

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "no error";
}

TEST(ErrorTest, EachClassIsAnErrorWithItsCode) {
  const auto code_of = [](const auto& error) { return static_cast<const Error&>(error).code(); };
  EXPECT_EQ(code_of(InvalidArgument("x")), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of(Unsupported("x", {})), ErrorCode::unsupported);
  EXPECT_EQ(code_of(CompileError("x", "", "")), ErrorCode::compile_error);
  EXPECT_EQ(code_of(InternalError("x")), ErrorCode::internal_error);
  EXPECT_THROW(throw InvalidArgument("x"), std::runtime_error);
}

TEST(ErrorTest, CarriesItsDetails) {
  const Unsupported refused("no backend", {"too large", "too small"});
  EXPECT_STREQ(refused.what(), "no backend");
  EXPECT_EQ(refused.reasons(), (std::vector<std::string>{"too large", "too small"}));
  const CompileError broken("does not compile", "/kernel.cu", "line 3: what?");
  EXPECT_EQ(broken.source_path(), "/kernel.cu");
  EXPECT_EQ(broken.log(), "line 3: what?");
}

TEST(ErrorTest, RequireFormatsWhatItIsGiven) {
  EXPECT_EQ(error_of([] { core::require(true, "f", "rule", 1, 2); }), "no error");
  EXPECT_EQ(error_of([] { core::require(false, "f", "rule", 1, -2); }),
            "[f] rule: expected 1, got -2");
  EXPECT_EQ(error_of([] { core::require(false, "f", "rule", "some", std::string("none")); }),
            "[f] rule: expected some, got none");
  EXPECT_EQ(error_of([] { core::require(false, "f", "rule", std::string_view("a"), "b"); }),
            "[f] rule: expected a, got b");
}

}  // namespace
}  // namespace fovea
