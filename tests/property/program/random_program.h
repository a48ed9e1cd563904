// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <fovea/program.h>
#include <fovea/random.h>
#include "property/program/program_code.h"
#include "property/program/random_tables.h"

/// Random programs, traced through the public interface, with the C++ code that makes the same one.
namespace fovea::test {

struct RandomProgramOptions {
  ModKind kind = ModKind::mask;
  int steps = 20;      // operations, of which the result may not need all
  bool faults = true;  // indices out of range, divisors of 0, overflow of 64 bits may occur
  bool captures = true;
  /// Floats of moderate size, and functions where they are defined: for derivatives, which elsewhere
  /// mean nothing.
  bool tame = false;
};

struct RandomProgram {
  Program program;
  std::string code;  // what traces to the program
};

/// The numbers that a test needs besides, from the same seed.
class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}
  int64_t below(int64_t limit) { return random_.below(position_++, limit); }
  bool chance(int percent) { return below(100) < percent; }
  double normal() { return random_.normal(position_++); }
  template <class T, std::size_t N>
  const T& pick(const std::array<T, N>& choices) {
    return choices[static_cast<std::size_t>(below(static_cast<int64_t>(N)))];
  }

 private:
  Random random_;
  uint64_t position_ = 0;
};

class RandomProgramMaker {
 public:
  RandomProgramMaker(uint64_t seed, const RandomProgramOptions& options)
      : dice_(seed), options_(options) {}

  Program make() {
    const auto with_first = [&](Value first, Value b, Value h, Value q, Value kv) {
      ints_ = {{b}, {h}, {q}, {kv}};
      floats_ = {{first}};
      return run();
    };
    switch (options_.kind) {
      case ModKind::score: return score_mod(with_first);
      case ModKind::weight: return weight_mod(with_first);
      case ModKind::mask: break;
    }
    return mask_mod([&](auto b, auto h, auto q, auto kv) {
      ints_ = {{b}, {h}, {q}, {kv}};
      return run();
    });
  }

 private:
  struct Made {
    Value value;
    bool used = false;
    int64_t weight = 0;  // about how many operations it takes
  };
  using Pool = std::vector<Made>;

  Value run() {
    for (int i = 0; i < options_.steps; ++i) step();
    const bool is_mask = options_.kind == ModKind::mask;
    const Pool& pool = is_mask ? bools_ : floats_;
    if (pool.empty()) return is_mask ? pick_bool() : pick_float();
    return std::max_element(pool.begin(), pool.end(), is_lighter)->value;
  }

  static bool is_lighter(const Made& a, const Made& b) { return a.weight < b.weight; }

  void step() {
    switch (dice_.below(options_.tame ? 8 : 4)) {
      case 0: return keep(ints_, int_operation());
      case 1: return keep(bools_, comparison());
      case 2: return keep(bools_, bool_operation());
      default: return keep(floats_, float_operation());
    }
  }

  void keep(Pool& pool, const Value& value) {
    pool.push_back({value, false, std::min<int64_t>(1 + pending_, 1 << 20)});
    pending_ = 0;
  }

  // What nothing uses yet more often than the rest, so that the result depends on much of it all.
  Value pick_from(Pool& pool) {
    const auto size = static_cast<int64_t>(pool.size());
    auto i = static_cast<std::size_t>(dice_.below(size));
    if (dice_.chance(70)) {
      for (std::size_t back = 1; back <= pool.size(); ++back) {
        if (pool[pool.size() - back].used) continue;
        i = pool.size() - back;
        break;
      }
    }
    pool[i].used = true;
    pending_ += pool[i].weight;
    return pool[i].value;
  }

  Value pick_int() { return dice_.chance(25) ? literal_int() : pick_from(ints_); }
  Value pick_float() {
    return floats_.empty() || dice_.chance(20) ? literal_float() : pick_from(floats_);
  }
  Value pick_bool() {
    if (bools_.empty()) return comparison();
    return dice_.chance(5) ? literal_bool() : pick_from(bools_);
  }
  Value pick_number() { return dice_.chance(50) ? pick_int() : pick_float(); }

  Value literal_int() {
    static constexpr std::array<int64_t, 12> kInts = {0, 1, 2, 3, 4, 7, 8, 16, 64, -1, -5, 1000};
    return options_.faults && dice_.chance(2) ? INT64_MAX : dice_.pick(kInts);
  }
  Value literal_float() {
    static constexpr std::array<double, 10> kFloats = {0.0,  -0.0, 1.0, 0.5,   -2.75,
                                                       1e30, 1e-3, 3.0, 100.0, -0.125};
    static constexpr std::array<double, 6> kTame = {0.0, 1.0, 0.5, -2.75, 3.0, -0.125};
    if (options_.tame) return dice_.pick(kTame);
    if (dice_.chance(4)) return NAN;
    if (dice_.chance(8)) return HUGE_VAL;
    return dice_.pick(kFloats);
  }
  Value literal_bool() { return dice_.chance(50); }

  // Keeps a number so small that nothing computed from it in a few steps leaves 64 bits.
  Value bounded(const Value& a) { return options_.faults ? a : a % 1009; }

  Value divisor() {
    if (options_.faults && dice_.chance(30)) return pick_int();
    static constexpr std::array<int64_t, 7> kDivisors = {1, 2, 3, 4, 16, -3, 100};
    return dice_.pick(kDivisors);
  }

  Value shift_count() {
    if (options_.faults && dice_.chance(20)) return pick_int();
    return dice_.below(6);
  }

  Value int_operation() {
    const Value a = bounded(pick_int());
    const Value b = bounded(pick_int());
    switch (dice_.below(19)) {
      case 0: return a + b;
      case 1: return a - b;
      case 2: return a * b;
      case 3: return a / divisor();
      case 4: return a % divisor();
      case 5: return min(a, b);
      case 6: return max(a, b);
      case 7: return -a;
      case 8: return abs(a);
      case 9: return a & b;
      case 10: return a | b;
      case 11: return a ^ b;
      case 12: return ~a;
      case 13: return dice_.chance(50) ? a << shift_count() : a >> shift_count();
      case 14: return where(pick_bool(), a, b);
      case 15: return bounded(to_int(pick_float()));
      case 16: return to_int(pick_bool());
      case 17: return random_bits(a, b, pick_int());
      default: return gather(ScalarType::i32);
    }
  }

  // Away from 0, where tame programs must not divide.
  Value nonzero(const Value& b) { return options_.tame ? abs(b) + 0.25 : b; }
  Value positive(const Value& a) { return options_.tame ? abs(a) + 0.1 : a; }
  Value small(const Value& a) { return options_.tame ? 2.0 * tanh(a) : a; }

  Value float_operation() {
    const Value a = pick_float();
    const Value b = dice_.chance(30) ? pick_int() : pick_float();
    switch (dice_.below(12)) {
      case 0: return a + b;
      case 1: return a - b;
      case 2: return a * b;
      case 3: return a / nonzero(b);
      case 4: return a % nonzero(b);
      case 5: return min(a, b);
      case 6: return max(a, b);
      case 7: return pow(positive(a), small(b));
      case 8: return where(pick_bool(), a, b);
      case 9: return to_float(dice_.chance(70) ? pick_int() : pick_bool());
      case 10: return gather(ScalarType::f32);
      default: return unary_float(a);
    }
  }

  Value unary_float(const Value& a) {
    switch (dice_.below(17)) {
      case 0: return -a;
      case 1: return abs(a);
      case 2: return exp(small(a));
      case 3: return exp2(small(a));
      case 4: return log(positive(a));
      case 5: return log2(positive(a));
      case 6: return tanh(a);
      case 7: return sigmoid(a);
      case 8: return sqrt(positive(a));
      case 9: return rsqrt(positive(a));
      case 10: return sin(a);
      case 11: return cos(a);
      case 12: return erf(a);
      case 13: return floor(a);
      case 14: return ceil(a);
      case 15: return trunc(a);
      default: return round(a);
    }
  }

  Value comparison() {
    const Value a = pick_number();
    const Value b = dice_.chance(10) ? a : pick_number();
    switch (dice_.below(6)) {
      case 0: return a == b;
      case 1: return a != b;
      case 2: return a < b;
      case 3: return a <= b;
      case 4: return a > b;
      default: return a >= b;
    }
  }

  Value bool_operation() {
    const Value a = pick_bool();
    const Value b = pick_bool();
    switch (dice_.below(10)) {
      case 0: return a && b;
      case 1: return a || b;
      case 2: return !a;
      case 3: return a & b;
      case 4: return a | b;
      case 5: return a ^ b;
      case 6: return a == b;
      case 7: return where(pick_bool(), a, b);
      case 8: return to_bool(pick_number());
      default: return gather(ScalarType::boolean);
    }
  }

  static ScalarType read_as(DType dtype) {
    if (dtype == DType::boolean) return ScalarType::boolean;
    return is_floating(dtype) ? ScalarType::f32 : ScalarType::i32;
  }

  Value fallback(ScalarType type) {
    switch (type) {
      case ScalarType::f32: return literal_float();
      case ScalarType::i32: return literal_int();
      case ScalarType::boolean: return literal_bool();
    }
    return literal_bool();
  }

  Value gather(ScalarType type) {
    std::vector<const RandomTable*> fitting;
    for (const RandomTable& table : RandomTables::get().all()) {
      if (read_as(table.tensor.dtype) == type) fitting.push_back(&table);
    }
    if (!options_.captures) return fallback(type);
    const auto& table =
        *fitting[static_cast<std::size_t>(dice_.below(static_cast<int64_t>(fitting.size())))];
    const Capture tensor = capture(table.tensor);
    if (table.tensor.rank() == 0) return tensor;
    Value result = tensor[index(pick_int(), table.tensor.size(0))];
    for (int i = 1; i < table.tensor.rank(); ++i) {
      result = result[index(pick_int(), table.tensor.size(i))];
    }
    return result;
  }

  Value index(const Value& a, int64_t size) {
    return options_.faults && dice_.chance(10) ? a : a % size;
  }

  Dice dice_;
  RandomProgramOptions options_;
  Pool ints_, floats_, bools_;
  int64_t pending_ = 0;  // weight of what was picked for the next operation
};

inline RandomProgram random_program(uint64_t seed, const RandomProgramOptions& options = {}) {
  Program program = RandomProgramMaker(seed, options).make();
  std::string code = program_code(program, RandomTables::name_of);
  return {std::move(program), std::move(code)};
}

}  // namespace fovea::test
