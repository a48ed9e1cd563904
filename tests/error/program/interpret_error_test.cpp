// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <string>

#include <gtest/gtest.h>

#include "error/program/error_text.h"
#include "program/interpret.h"

namespace fovea::program {
namespace {

using test::error_text;

std::string interpret_error(const char* text, const Inputs& inputs,
                            std::span<const TensorView> captures = {}) {
  const Program program = parse_program(text, captures);
  const std::string scalar = error_text([&] { interpret(program, inputs); });
  const std::string row = error_text([&] {
    const std::array scores = {inputs.score};
    RowInterpreter rows(program);
    if (program.kind() == ModKind::mask) {
      rows.run_mask(inputs.b, inputs.h, inputs.q, inputs.kv, 1);
    } else {
      rows.run_score(inputs.b, inputs.h, inputs.q, inputs.kv, scores);
    }
  });
  EXPECT_EQ(scalar, row);
  return scalar;
}

TEST(InterpretError, IndicesOutOfRange) {
  std::array<float, 6> data{};
  const std::array tensors = {view(data.data(), Dims{2, 3})};
  EXPECT_EQ(interpret_error("t0[h][q - kv]", {.b = 1, .h = 1, .q = 7, .kv = 4}, tensors),
            "[interpret] index 1 of captured tensor t0 at b=1 h=1 q=7 kv=4: expected 0 to 2, got "
            "3");
  EXPECT_EQ(interpret_error("t0[h - 1][q]", {.h = 0, .q = 1}, tensors),
            "[interpret] index 0 of captured tensor t0 at b=0 h=0 q=1 kv=0: expected 0 to 1, got "
            "-1");
  const std::array empty = {view(data.data(), Dims{0})};
  EXPECT_EQ(
      interpret_error("t0[kv]", {.kv = 5}, empty),
      "[interpret] index 0 of captured tensor t0 at b=0 h=0 q=0 kv=5: expected none (the size "
      "is 0), got 5");
}

TEST(InterpretError, IntegersBeyond64Bits) {
  EXPECT_EQ(
      interpret_error("q * q * q < 1", {.q = 1 << 22}),
      "[interpret] integer result at b=0 h=0 q=4194304 kv=0: expected 64 bits to hold it, got "
      "* of 17592186044416 and 4194304");
  EXPECT_EQ(interpret_error("q + 9223372036854775807 < 1", {.q = 1}),
            "[interpret] integer result at b=0 h=0 q=1 kv=0: expected 64 bits to hold it, got + of "
            "1 and 9223372036854775807");
  EXPECT_EQ(interpret_error("abs(q - 9223372036854775807 - 1) < kv", {}),
            "[interpret] integer result at b=0 h=0 q=0 kv=0: expected 64 bits to hold it, got abs "
            "of -9223372036854775808");
}

TEST(InterpretError, DivisionByZero) {
  EXPECT_EQ(interpret_error("q / kv < 1", {.q = 3}),
            "[interpret] integer divisor at b=0 h=0 q=3 kv=0: expected not 0, got / of 3 and 0");
  EXPECT_EQ(interpret_error("q % 0 < 1", {.q = 3}),
            "[interpret] integer divisor at b=0 h=0 q=3 kv=0: expected not 0, got % of 3 and 0");
}

TEST(InterpretError, ShiftCounts) {
  EXPECT_EQ(interpret_error("q << kv < 1", {.q = 1, .kv = 64}),
            "[interpret] shift count at b=0 h=0 q=1 kv=64: expected 0 to 63, got << of 1 and 64");
  EXPECT_EQ(interpret_error("q >> (kv - 1) < 1", {.q = 1}),
            "[interpret] shift count at b=0 h=0 q=1 kv=0: expected 0 to 63, got >> of 1 and -1");
  EXPECT_EQ(
      interpret_error("q << 63 < 1", {.q = 1}),
      "[interpret] integer result at b=0 h=0 q=1 kv=0: expected 64 bits to hold it, got << of "
      "1 and 63");
}

TEST(InterpretError, TensorsThatCannotBeReadHere) {
  float number = 0;
  const Program program = parse_program("mask_mod(b, h, q, kv; t0: f32[0]) { return t0 < 1.0 }");
  EXPECT_EQ(error_text([&] { interpret(program, {}); }),
            "[interpret] captured tensor t0: expected a bound tensor, got none");
  EXPECT_EQ(error_text([&] { RowInterpreter rows(program); }),
            "[interpret] captured tensor t0: expected a bound tensor, got none");
  TensorView far = view(&number, Dims{});
  far.device.type = DeviceType::cuda;
  const Program remote(program.shared_graph(), {{ScalarType::f32, 0, 1}}, {far});
  EXPECT_EQ(error_text([&] { interpret(remote, {}); }),
            "[interpret] captured tensor t0: expected memory on the CPU, got memory on another "
            "device");
}

TEST(InterpretError, ReadElement) {
  std::array<float, 6> data{};
  const TensorView table = view(data.data(), Dims{2, 3});
  const auto read = [](const TensorView& tensor, std::initializer_list<int64_t> indices) {
    return error_text([&] { read_element(tensor, std::span(indices.begin(), indices.size())); });
  };
  EXPECT_EQ(read(table, {0}), "[read_element] number of indices: expected 2, got 1");
  EXPECT_EQ(read(table, {0, 3}), "[read_element] index: expected 0 to 2, got 3");
  EXPECT_EQ(read(table, {-1, 0}), "[read_element] index: expected 0 to 1, got -1");
  TensorView unbound = table;
  unbound.data = nullptr;
  EXPECT_EQ(read(unbound, {0, 0}), "[read_element] tensor: expected memory, got none");
  EXPECT_EQ(read(table, {1, 2}), "");
}

TEST(InterpretError, RowsOfTheOtherKind) {
  const std::array<double, 1> scores{};
  RowInterpreter mask(parse_program("q < kv"));
  RowInterpreter score(parse_program("score"));
  EXPECT_THROW(mask.run_score(0, 0, 0, 0, scores), InternalError);
  EXPECT_THROW(score.run_mask(0, 0, 0, 0, 1), InternalError);
}

}  // namespace
}  // namespace fovea::program
