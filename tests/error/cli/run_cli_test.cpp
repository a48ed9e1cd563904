// SPDX-License-Identifier: Apache-2.0
#include "run_cli.h"

#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace fovea::cli {
namespace {

struct Outcome {
  int code = 0;
  std::string out, error;
};

Outcome run(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "fovea");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.code = run_cli(static_cast<int>(arguments.size()), arguments.data());
  std::fflush(stdout);
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.error = testing::internal::GetCapturedStderr();
  return outcome;
}

void expect_error(std::vector<const char*> arguments, int code, const std::string& text) {
  const Outcome outcome = run(std::move(arguments));
  EXPECT_EQ(outcome.code, code);
  EXPECT_EQ(outcome.error, "fovea: " + text + "\n");
  EXPECT_EQ(outcome.out, "");
}

TEST(Usage, NothingToDo) { expect_error({}, 2, "A subcommand is required (--help says more)"); }

TEST(Usage, UnknownVariant) {
  const Outcome outcome = run({"explain", "--variant", "causl"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.error.find("causl"), std::string::npos) << outcome.error;
}

TEST(Usage, MaskOfNothing) {
  expect_error({"mask"}, 2, "expected one of --variant and --program");
  expect_error({"mask", "--variant", "causal", "--program", "q >= kv"}, 2,
               "expected one of --variant and --program");
}

TEST(Usage, ScoreModAsMask) {
  expect_error({"mask", "--program", "score * 2.0"}, 2,
               "--program: expected a mask_mod (a bool of b, h, q and kv), got a score_mod");
}

TEST(Usage, Lengths) {
  for (const char* length : {"0", "x", "12x", "4x-1", "1.5", ""}) {
    expect_error(
        {"mask", "--variant", "causal", "--length", length}, 2,
        std::string("--length: expected N or NxM, whole numbers from 1 on, got ") + length);
  }
  expect_error({"mask", "--variant", "causal", "--block", "0x4"}, 2,
               "--block: expected N or NxM, whole numbers from 1 on, got 0x4");
}

TEST(Usage, HeadThatIsNotThere) {
  expect_error({"mask", "--variant", "causal", "--heads", "2", "--head", "2"}, 2,
               "--head: expected less than --heads");
}

TEST(Usage, Parameters) {
  expect_error({"mask", "--variant", "causal", "--param", "window=3"}, 2,
               "[gallery] parameters of causal: expected none, got window");
  expect_error({"mask", "--variant", "natten", "--param", "window=3"}, 2,
               "[gallery] parameters of natten: expected width, kernel, got window");
  expect_error(
      {"mask", "--variant", "sliding_window", "--param", "window=0"}, 2,
      "[gallery] parameter window of sliding_window: expected a whole number from 1 on, got 0");
  expect_error({"mask", "--variant", "sliding_window", "--param", "window"}, 2,
               "--param: expected NAME=NUMBER, got window");
}

TEST(Usage, VariantAndProgram) {
  expect_error({"explain", "--variant", "causal", "--mask", "q >= kv"}, 2,
               "expected --variant, or --score and --mask, not both");
}

TEST(Failure, LibraryErrorsAreOneLine) {
  expect_error({"mask", "--program", "q >= "}, 1,
               "[parse_program] line 1, column 6: expected an expression, got end of text");
  expect_error(
      {"explain", "--weight", "q >= kv", "--length", "8"}, 1,
      "[explain] weight_mod must be a weight program: expected (w, b, h, q, kv) -> weight, got "
      "a mask_mod");
  expect_error({"explain", "--heads", "4", "--kv-heads", "3"}, 1,
               "[explain] query heads must be a multiple of key heads: expected a multiple of 3, "
               "got 4");
}

TEST(Failure, FileThatCannotBeWritten) {
  expect_error({"mask", "--variant", "causal", "--svg", "/nonexistent/folder/x.svg"}, 1,
               "cannot write /nonexistent/folder/x.svg");
}

TEST(Usage, DemoWithoutText) {
  const auto folder = std::filesystem::temp_directory_path() / "fovea-no-text";
  std::filesystem::create_directories(folder);
  expect_error({"demo", "--text", folder.c_str(), "--out", folder.c_str()}, 2,
               "no text files in folder " + folder.string());
  std::filesystem::remove_all(folder);
}

TEST(Success, VersionAndHelp) {
  EXPECT_EQ(run({"--version"}).code, 0);
  EXPECT_NE(run({"--help"}).out.find("demo"), std::string::npos);
  EXPECT_EQ(run({"env"}).code, 0);
  const Outcome mask = run({"mask", "--variant", "causal", "--length", "256", "--text"});
  EXPECT_EQ(mask.code, 0);
  EXPECT_NE(mask.out.find("██░░"), std::string::npos) << mask.out;
}

TEST(Success, ExplainShowsTheDerivative) {
  const Outcome scored = run({"explain", "--score", "score * 2.0", "--length", "64"});
  EXPECT_EQ(scored.code, 0);
  EXPECT_NE(scored.out.find("derivative of score_mod(score, b, h, q, kv; p0: f32 = 2.0) {\n"
                            "  out = score * p0\n"
                            "  dscore = dout * p0\n"
                            "}\n"),
            std::string::npos)
      << scored.out;
  const Outcome weighed = run(
      {"explain", "--weight", "weight_mod(w, b, h, q, kv) { return w * 0.5 }", "--length", "64"});
  EXPECT_EQ(weighed.code, 0);
  for (const char* part :
       {"weight_mod, as traced:\n", "derivative of weight_mod(w, b, h, q, kv; "}) {
    EXPECT_NE(weighed.out.find(part), std::string::npos) << weighed.out;
  }
  const Outcome masked = run({"explain", "--mask", "q >= kv", "--length", "64"});
  EXPECT_EQ(masked.code, 0);
  EXPECT_EQ(masked.out.find("derivative"), std::string::npos);
}

}  // namespace
}  // namespace fovea::cli
