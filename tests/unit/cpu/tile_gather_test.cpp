// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/program.h>
#include "program/interpret.h"
#include "unit/cpu/tile_harness.h"

// Reading captured tensors: every dtype and stride, in every shape class, and indices outside.
namespace fovea::cpu {
namespace {

using testing::machines;
using testing::NamedMachine;
using testing::run_tile;
using testing::TileShape;

class TileGather : public ::testing::TestWithParam<NamedMachine> {};
INSTANTIATE_TEST_SUITE_P(Isa, TileGather, ::testing::ValuesIn(machines()),
                         [](const auto& machine) { return name_of_machine(machine.param); });

// Memory of exactly `count` elements of a dtype, with values that every dtype can hold.
std::vector<unsigned char> fill(DType dtype, std::size_t count) {
  std::vector<unsigned char> memory(count * size_of(dtype));
  for (std::size_t i = 0; i < count; ++i) {
    const int value = static_cast<int>(i * 7 % 101) - (dtype == DType::u8 ? 0 : 50);
    const auto put = [&](auto x) { std::memcpy(memory.data() + i * sizeof x, &x, sizeof x); };
    switch (dtype) {
      case DType::f64: put(static_cast<double>(value) / 4); break;
      case DType::f32: put(static_cast<float>(value) / 4); break;
      case DType::bf16: put(BFloat16(static_cast<float>(value) / 4)); break;
      case DType::f16: put(Float16(static_cast<float>(value) / 4)); break;
      case DType::i64: put(static_cast<int64_t>(value) * 1000003); break;
      case DType::i32: put(static_cast<int32_t>(value) * 1000003); break;
      case DType::i16: put(static_cast<int16_t>(value * 300)); break;
      case DType::i8: put(static_cast<int8_t>(value)); break;
      case DType::u8: put(static_cast<uint8_t>(value + 100)); break;
      case DType::boolean: put(value % 3 == 0); break;
    }
  }
  return memory;
}

// What reads the whole of any element through an f32 score without rounding: the low bits and the
// rest.
Program low_bits(const std::function<Value(Value, Value, Value, Value)>& read) {
  return score_mod([&](auto, auto b, auto h, auto q, auto kv) {
    const Value x = read(b, h, q, kv);
    return x.type() == ScalarType::i32 ? to_float(x & 4095) : to_float(x);
  });
}
Program high_bits(const std::function<Value(Value, Value, Value, Value)>& read) {
  return score_mod([&](auto, auto b, auto h, auto q, auto kv) {
    const Value x = read(b, h, q, kv);
    return x.type() == ScalarType::i32 ? to_float(x >> 12) : to_float(x);
  });
}

void expect_exact(const NamedMachine& machine, const Program& program, const TileShape& shape) {
  const std::vector<float> scores(static_cast<std::size_t>(shape.rows * shape.cols), 1.0f);
  const std::vector<float> got = run_tile(machine, program, {}, shape, scores);
  for (int64_t i = 0; i < shape.rows; ++i) {
    for (int64_t j = 0; j < shape.cols; ++j) {
      const Literal want = program::interpret(
          program,
          {.score = 1, .b = shape.b, .h = shape.h, .q = shape.q0 + i, .kv = shape.kv0 + j});
      ASSERT_EQ(got[static_cast<std::size_t>(i * shape.cols + j)], static_cast<float>(want.f))
          << program.to_string() << "\nrow " << i << ", column " << j;
    }
  }
}

constexpr DType kAll[] = {DType::f64, DType::f32, DType::bf16, DType::f16, DType::i64,
                          DType::i32, DType::i16, DType::i8,   DType::u8,  DType::boolean};

TEST_P(TileGather, EveryDtypeInEveryShapeClass) {
  const TileShape shape{.b = 1, .h = 2, .q0 = 3, .rows = 5, .kv0 = 2, .cols = 19, .padding = 3};
  for (const DType dtype : kAll) {
    SCOPED_TRACE(fovea::name_of(dtype));
    auto memory = fill(dtype, 2 * 3 * 28 * 24);
    const auto tensor = [&](const Dims& sizes) {
      return capture(TensorView{memory.data(), dtype, sizes, contiguous_strides(sizes), {}});
    };
    const auto t1 = tensor({48});
    const auto t2 = tensor({24, 24});
    const auto t4 = tensor({2, 3, 28, 24});
    using V = Value;
    const std::vector<std::function<V(V, V, V, V)>> reads = {
        [&](V, V h, V, V) { return t1[h]; },
        [&](V, V, V q, V) { return t1[q]; },
        [&](V, V, V, V kv) { return t1[kv + 1]; },
        [&](V, V, V, V kv) { return t1[40 - kv]; },
        [&](V, V, V q, V kv) { return t1[q - kv + 24]; },
        [&](V, V, V q, V kv) { return t2[q][kv]; },
        [&](V, V, V q, V kv) { return t2[kv][q]; },
        [&](V, V, V q, V kv) { return t2[kv][kv + q - q]; },
        [&](V, V, V q, V kv) { return t2[q % 3 + kv % 5][kv]; },
        [&](V, V, V q, V kv) { return t1[q + kv]; },
        [&](V b, V h, V q, V kv) { return t4(b, h, q, kv); },
        [&](V b, V, V q, V kv) { return t4(b, kv % 3, q % 7 + kv, kv); },
        [&](V b, V, V q, V kv) { return t4(b * 0 + kv % 2, kv % 3, q % 2 + kv, kv); },
    };
    for (const auto& read : reads) {
      expect_exact(GetParam(), low_bits(read), shape);
      expect_exact(GetParam(), high_bits(read), shape);
    }
  }
}

TEST_P(TileGather, ZeroDimensionalTensorIsANumber) {
  float number = 2.5f;
  const Capture value(TensorView{&number, DType::f32, {}, {}, {}});
  expect_exact(GetParam(), score_mod([&](auto s, auto, auto, auto, auto) { return s * value; }),
               {.rows = 2, .cols = 9});
}

TEST_P(TileGather, OddStrides) {
  for (const DType dtype : kAll) {
    SCOPED_TRACE(fovea::name_of(dtype));
    const int64_t element = static_cast<int64_t>(size_of(dtype));
    auto memory = fill(dtype, 64 * 16);
    const auto tensor = [&](int64_t offset, const Dims& sizes, const Dims& strides) {
      return capture(TensorView{memory.data() + offset * element, dtype, sizes, strides, {}});
    };
    const auto transposed = tensor(0, {16, 32}, {1, 16});
    const auto reversed = tensor(31 * 16 + 15, {32, 16}, {-16, -1});
    const auto repeated = tensor(5, {16, 32}, {0, 3});
    const auto one = tensor(5, {16, 32}, {0, 0});
    for (const Capture& t : {transposed, repeated, one}) {
      const auto read = [&](Value, Value, Value q, Value kv) { return t[q][kv]; };
      expect_exact(GetParam(), low_bits(read), {.q0 = 1, .rows = 7, .kv0 = 3, .cols = 29});
      expect_exact(GetParam(), high_bits(read), {.q0 = 1, .rows = 7, .kv0 = 3, .cols = 29});
    }
    const auto read = [&](Value, Value, Value q, Value kv) { return reversed[kv][(q + kv) % 16]; };
    expect_exact(GetParam(), low_bits(read), {.q0 = 1, .rows = 7, .kv0 = 3, .cols = 29});
    expect_exact(GetParam(), high_bits(read), {.q0 = 1, .rows = 7, .kv0 = 3, .cols = 29});
  }
}

TEST_P(TileGather, HalfPrecisionSpecialValues) {
  std::vector<uint16_t> bits;
  for (uint32_t i = 0; i < 65536; i += 17) bits.push_back(static_cast<uint16_t>(i));
  const auto count = static_cast<int64_t>(bits.size());
  for (const DType dtype : {DType::f16, DType::bf16}) {
    const auto t = capture(TensorView{bits.data(), dtype, {count}, {1}, {}});
    const auto mod = score_mod([&](auto, auto, auto, auto, auto kv) { return to_float(t[kv]); });
    const std::vector<float> scores(bits.size());
    const auto got = run_tile(GetParam(), mod, {}, {.rows = 1, .cols = count}, scores);
    for (std::size_t i = 0; i < bits.size(); ++i) {
      Float16 half;
      BFloat16 brain;
      half.bits = brain.bits = bits[i];
      const float want = dtype == DType::f16 ? static_cast<float>(half) : static_cast<float>(brain);
      if (std::isnan(want)) {
        EXPECT_TRUE(std::isnan(got[i])) << bits[i];
      } else {
        EXPECT_EQ(got[i], want) << bits[i];
        EXPECT_EQ(std::signbit(got[i]), std::signbit(want)) << bits[i];
      }
    }
  }
}

// The tensors here are as large as their memory, so that a sanitizer sees any read outside.
TEST_P(TileGather, OutsideReadsNothing) {
  const TileShape shape{.q0 = 0, .rows = 9, .kv0 = 0, .cols = 21};
  const std::vector<float> scores(static_cast<std::size_t>(shape.rows * shape.cols), 1.0f);
  for (const DType dtype : kAll) {
    SCOPED_TRACE(fovea::name_of(dtype));
    auto memory = fill(dtype, 6 * 7);
    const auto t =
        capture(TensorView{memory.data(), dtype, {6, 7}, contiguous_strides({6, 7}), {}});
    using V = Value;
    struct Read {
      std::function<V(V, V)> read;
      std::function<std::pair<int64_t, int64_t>(int64_t, int64_t)> index;
    };
    const std::vector<Read> reads = {
        {[&](V q, V kv) { return t[q - 2][kv - 3]; },
         [](int64_t q, int64_t kv) { return std::pair(q - 2, kv - 3); }},
        {[&](V q, V kv) { return t[kv - 2][q]; },
         [](int64_t q, int64_t kv) { return std::pair(kv - 2, q); }},
        {[&](V q, V kv) { return t[q - kv][3]; },
         [](int64_t q, int64_t kv) { return std::pair(q - kv, int64_t{3}); }},
        {[&](V q, V kv) { return t[q * kv - 4][kv + q - 3]; },
         [](int64_t q, int64_t kv) { return std::pair(q * kv - 4, kv + q - 3); }},
        {[&](V q, V kv) { return t[2][kv * 100000000 + q]; },
         [](int64_t q, int64_t kv) { return std::pair(int64_t{2}, kv * 100000000 + q); }},
        {[&](V q, V) { return t[7][q]; },
         [](int64_t q, int64_t) { return std::pair(int64_t{7}, q); }},
    };
    for (const Read& read : reads) {
      const auto mod =
          score_mod([&](auto, auto, auto, auto q, auto kv) { return to_float(read.read(q, kv)); });
      const auto got = run_tile(GetParam(), mod, {}, shape, scores);
      for (int64_t q = 0; q < shape.rows; ++q) {
        for (int64_t kv = 0; kv < shape.cols; ++kv) {
          const float value = got[static_cast<std::size_t>(q * shape.cols + kv)];
          const auto [i, j] = read.index(q, kv);
          if (i < 0 || i >= 6 || j < 0 || j >= 7) {
            EXPECT_TRUE(is_floating(dtype) ? std::isnan(value) : value == 0) << mod.to_string();
          } else {
            const int64_t indices[] = {i, j};
            const Literal want = program::read_element(t.tensor(), indices);
            EXPECT_EQ(value, want.type == ScalarType::f32 ? static_cast<float>(want.f)
                                                          : static_cast<float>(want.i));
          }
        }
      }
    }
  }
}

// Small tables are held in registers; here they end where their memory does.
TEST_P(TileGather, SmallTables) {
  for (const int64_t size : {1, 2, 7, 8, 9, 15, 16, 17, 24, 25, 31, 32, 33}) {
    std::vector<float> floats;
    std::vector<int32_t> ints;
    for (int64_t i = 0; i < size; ++i) {
      floats.push_back(static_cast<float>(i) * 0.5f + 1);
      ints.push_back(static_cast<int32_t>(i * i + 3));
    }
    const auto t = capture(view(floats.data(), {size}));
    const auto u = capture(view(ints.data(), {size}));
    const auto mod = score_mod([&](auto, auto, auto, auto q, auto kv) {
      return t[(q * 7 + kv * 3) % (size + 2) - 1] * 4096 + u[(q + kv * kv) % (size + 2) - 1];
    });
    const TileShape shape{.rows = 5, .cols = 45};
    const auto got = run_tile(GetParam(), mod, {}, shape, std::vector<float>(225));
    for (int64_t k = 0; k < 225; ++k) {
      const int64_t q = k / 45, kv = k % 45;
      const int64_t i = (q * 7 + kv * 3) % (size + 2) - 1, j = (q + kv * kv) % (size + 2) - 1;
      const float value = got[static_cast<std::size_t>(k)];
      if (i < 0 || i >= size) {
        EXPECT_TRUE(std::isnan(value));
      } else {
        const bool inside = j >= 0 && j < size;
        EXPECT_EQ(value, floats[static_cast<std::size_t>(i)] * 4096 +
                             static_cast<float>(inside ? ints[static_cast<std::size_t>(j)] : 0));
      }
    }
  }
}

TEST_P(TileGather, EmptyTensor) {
  const auto t = capture(TensorView{nullptr, DType::f32, {0}, {1}, {}});
  const auto mod = score_mod([&](auto s, auto, auto, auto, auto kv) { return s + t[kv]; });
  for (const float x :
       run_tile(GetParam(), mod, {}, {.rows = 2, .cols = 11}, std::vector<float>(22))) {
    EXPECT_TRUE(std::isnan(x));
  }
}

// Offsets beyond 32 bits: a view of a small array whose rows are said to lie far apart. Only row 0
// is read.
TEST_P(TileGather, LargeTensorsUseLargeOffsets) {
  std::vector<float> memory(64);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i);
  const auto t = capture(TensorView{
      memory.data(), DType::f32, {4, int64_t{1} << 33, 8}, {int64_t{1} << 40, 8, 1}, {}});
  expect_exact(GetParam(),
               score_mod([&](auto, auto, auto, auto q, auto kv) { return t(0, q, kv); }),
               {.rows = 8, .cols = 8});
  expect_exact(GetParam(), score_mod([&](auto, auto, auto, auto q, auto kv) {
                 return t((q + kv) / 1000000, kv % 3 + q, kv % 8);
               }),
               {.rows = 5, .cols = 8});
}

}  // namespace
}  // namespace fovea::cpu
