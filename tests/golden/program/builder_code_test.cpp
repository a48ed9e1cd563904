// SPDX-License-Identifier: Apache-2.0
// The code that failing property tests print traces to the program it was printed from: the golden
// file is that code, and this test compiles it.
#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/program.h>
#include "golden/golden_file.h"
#include "property/program/program_code.h"
#include "property/program/random_tables.h"

namespace fovea {
namespace {

// Between them, every operation and every kind of number.
const std::vector<std::string>& texts() {
  static const std::vector<std::string> all = {
      "score_mod(score, b, h, q, kv; t0: f32[2], t1: f32[0]) {"
      " d = q - kv  return (score + t0[h][abs(d) % 13]) * t1 / (0.5 + f32(kv)) % 2.5 - 1e30 }",
      "score_mod(score, b, h, q, kv; t0: f64[1]) { x = score * t0[b]"
      " return min(max(tanh(x), -inf), inf) + nan * exp(x) - exp2(x) + log(x) * log2(x) }",
      "sigmoid(score) + sqrt(score) + rsqrt(score) + sin(score) + cos(score) + erf(score)",
      "floor(score) + ceil(score) + trunc(score) + round(score) + abs(-score) + pow(score, 2.5)",
      "mask_mod(b, h, q, kv; t0: i32[1], t1: bool[1]) {"
      " return (t0[q] == t0[kv] || !t1[h % 17]) && q / 16 != kv / 16 && q <= kv + 0x10 }",
      "((q & kv | 5) ^ ~h) << 2 < (b >> 1) + -9223372036854775808",
      "where(bool(i32(score)), f32(q < kv), score * 1e-3)",
      "true & (q < kv) ^ (h == 0)",
      "weight_mod(w, b, h, q, kv) { return where(philox(h, q, kv) < 5, 0.0, w * 1.25) }",
  };
  return all;
}

std::vector<Program> parsed() {
  const auto& tables = test::RandomTables::get().all();
  const auto named = [&](const std::string& name) {
    for (const auto& table : tables) {
      if (table.name == name) return table.tensor;
    }
    throw std::out_of_range(name);
  };
  std::vector<Program> programs;
  for (const std::string& text : texts()) {
    std::vector<TensorView> captures;
    if (text.find("f32[2]") != std::string::npos) captures = {named("bias"), named("scale")};
    if (text.find("f64[1]") != std::string::npos) captures = {named("slopes")};
    if (text.find("i32[1]") != std::string::npos) captures = {named("doc"), named("flags")};
    programs.push_back(parse_program(text, captures));
  }
  return programs;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
std::vector<Program> compiled() {
  const auto& tables = test::RandomTables::get().all();
  [[maybe_unused]] const TensorView bias = tables[0].tensor, slopes = tables[1].tensor,
                                    doc = tables[4].tensor, flags = tables[9].tensor,
                                    scale = tables[11].tensor;
  std::vector<Program> programs;
#include "golden/program/builder_code.inc"
  return programs;
}
#pragma GCC diagnostic pop

TEST(BuilderCode, IsWhatIsCompiledHere) {
  std::string code;
  for (const Program& program : parsed()) {
    code += "{\n" + test::program_code(program, test::RandomTables::name_of) +
            "programs.push_back(mod);\n}\n";
  }
  test::expect_golden("program/builder_code.inc", code);
}

TEST(BuilderCode, TracesToTheSameProgram) {
  const std::vector<Program> expected = parsed(), got = compiled();
  ASSERT_EQ(got.size(), expected.size());
  std::set<program::Op> seen;
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].to_string(), expected[i].to_string());
    for (const program::Node& node : got[i].graph().nodes) seen.insert(node.op);
  }
  const std::vector<program::Op> all = {
#define FOVEA_OP(name, arity, rule, spelling, cuda) program::Op::name,
#include "program/ops.def"
#undef FOVEA_OP
  };
  for (const program::Op op : all) EXPECT_TRUE(seen.count(op) == 1) << program::name_of(op);
}

}  // namespace
}  // namespace fovea
