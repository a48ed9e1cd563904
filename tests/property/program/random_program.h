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
#include "property/program/random_tables.h"

/// Random programs, traced through the public interface, with the C++ code that makes the same one.
namespace fovea::test {

struct RandomProgramOptions {
  ModKind kind = ModKind::mask;
  int steps = 20;      // operations, of which the result may not need all
  bool faults = true;  // indices out of range, divisors of 0, overflow of 64 bits may occur
  bool captures = true;
};

struct RandomProgram {
  Program program;
  std::string code;  // a lambda `mod` that traces to the program
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

  RandomProgram make() {
    const bool is_mask = options_.kind == ModKind::mask;
    code_ = is_mask ? "auto mod = [&](auto b, auto h, auto q, auto kv) {\n"
                    : "auto mod = [&](auto score, auto b, auto h, auto q, auto kv) {\n";
    Program program = is_mask ? mask_mod([&](auto b, auto h, auto q, auto kv) {
      add_inputs(b, h, q, kv);
      return run();
    })
                              : score_mod([&](auto score, auto b, auto h, auto q, auto kv) {
                                  add_inputs(b, h, q, kv);
                                  floats_.push_back({score, "score"});
                                  return run();
                                });
    code_ += "};\n";
    return {std::move(program), std::move(code_)};
  }

 private:
  struct Named {
    Value value;
    std::string name;
    bool used = false;
    int64_t weight = 0;  // about how many operations it takes
  };
  using Pool = std::vector<Named>;

  void add_inputs(const Value& b, const Value& h, const Value& q, const Value& kv) {
    ints_ = {{b, "b"}, {h, "h"}, {q, "q"}, {kv, "kv"}};
  }

  Value run() {
    for (int i = 0; i < options_.steps; ++i) step();
    const bool is_mask = options_.kind == ModKind::mask;
    const Pool& pool = is_mask ? bools_ : floats_;
    const Named result = pool.empty() ? (is_mask ? pick_bool() : pick_float())
                                      : *std::max_element(pool.begin(), pool.end(), is_lighter);
    code_ += "  return " + result.name + ";\n";
    return result.value;
  }

  static bool is_lighter(const Named& a, const Named& b) { return a.weight < b.weight; }

  void step() {
    switch (dice_.below(4)) {
      case 0: return keep(ints_, int_operation());
      case 1: return keep(floats_, float_operation());
      case 2: return keep(bools_, comparison());
      default: return keep(bools_, bool_operation());
    }
  }

  void keep(Pool& pool, const Named& made) {
    const std::string name = "v" + std::to_string(count_++);
    code_ += "  auto " + name + " = " + made.name + ";\n";
    pool.push_back({made.value, name, false, std::min<int64_t>(1 + pending_, 1 << 20)});
    pending_ = 0;
  }

  // What nothing uses yet more often than the rest, so that the result depends on much of it all.
  const Named& pick_from(Pool& pool) {
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
    return pool[i];
  }

  Named pick_int() { return dice_.chance(25) ? literal_int() : pick_from(ints_); }
  Named pick_float() {
    return floats_.empty() || dice_.chance(20) ? literal_float() : pick_from(floats_);
  }
  Named pick_bool() {
    if (bools_.empty()) return comparison();
    return dice_.chance(5) ? literal_bool() : pick_from(bools_);
  }
  Named pick_number() { return dice_.chance(50) ? pick_int() : pick_float(); }

  Named literal_int() {
    static constexpr std::array<int64_t, 12> kInts = {0, 1, 2, 3, 4, 7, 8, 16, 64, -1, -5, 1000};
    const int64_t value = options_.faults && dice_.chance(2) ? INT64_MAX : dice_.pick(kInts);
    return {Value(value), "Value(int64_t{" + std::to_string(value) + "})"};
  }
  Named literal_float() {
    static constexpr std::array<const char*, 10> kTexts = {
        "0.0", "-0.0", "1.0", "0.5", "-2.75", "1e30", "1e-3", "3.0", "100.0", "-0.125"};
    static constexpr std::array<double, 10> kFloats = {0.0,  -0.0, 1.0, 0.5,   -2.75,
                                                       1e30, 1e-3, 3.0, 100.0, -0.125};
    if (dice_.chance(4)) return {Value(NAN), "Value(NAN)"};
    if (dice_.chance(8)) return {Value(HUGE_VAL), "Value(HUGE_VAL)"};
    const auto i = static_cast<std::size_t>(dice_.below(10));
    return {Value(kFloats[i]), std::string("Value(") + kTexts[i] + ")"};
  }
  Named literal_bool() {
    const bool value = dice_.chance(50);
    return {Value(value), value ? "Value(true)" : "Value(false)"};
  }

  static Named call(const char* name, const Value& value, const Named& a) {
    return {value, std::string(name) + "(" + a.name + ")"};
  }
  static Named call(const char* name, const Value& value, const Named& a, const Named& b) {
    return {value, std::string(name) + "(" + a.name + ", " + b.name + ")"};
  }
  static Named infix(const char* symbol, const Value& value, const Named& a, const Named& b) {
    return {value, "(" + a.name + " " + symbol + " " + b.name + ")"};
  }
  static Named select(const Named& c, const Named& a, const Named& b) {
    return {where(c.value, a.value, b.value),
            "where(" + c.name + ", " + a.name + ", " + b.name + ")"};
  }

  // Keeps a number so small that nothing computed from it in a few steps leaves 64 bits.
  Named bounded(const Named& a) {
    if (options_.faults) return a;
    return {a.value % 1009, "(" + a.name + " % 1009)"};
  }

  Named divisor() {
    if (options_.faults && dice_.chance(30)) return pick_int();
    static constexpr std::array<int64_t, 7> kDivisors = {1, 2, 3, 4, 16, -3, 100};
    const int64_t value = dice_.pick(kDivisors);
    return {Value(value), "Value(int64_t{" + std::to_string(value) + "})"};
  }

  Named shift_count() {
    if (options_.faults && dice_.chance(20)) return pick_int();
    const int64_t value = dice_.below(6);
    return {Value(value), "Value(int64_t{" + std::to_string(value) + "})"};
  }

  Named int_operation() {
    const Named a = bounded(pick_int());
    const Named b = bounded(pick_int());
    switch (dice_.below(18)) {
      case 0: return infix("+", a.value + b.value, a, b);
      case 1: return infix("-", a.value - b.value, a, b);
      case 2: return infix("*", a.value * b.value, a, b);
      case 3: return divide(a);
      case 4: return remainder(a);
      case 5: return call("min", min(a.value, b.value), a, b);
      case 6: return call("max", max(a.value, b.value), a, b);
      case 7: return {-a.value, "(-" + a.name + ")"};
      case 8: return call("abs", abs(a.value), a);
      case 9: return infix("&", a.value & b.value, a, b);
      case 10: return infix("|", a.value | b.value, a, b);
      case 11: return infix("^", a.value ^ b.value, a, b);
      case 12: return {~a.value, "(~" + a.name + ")"};
      case 13: return shift(a);
      case 14: return select(pick_bool(), a, b);
      case 15: {
        const Named x = pick_float();
        return bounded(call("to_int", to_int(x.value), x));
      }
      case 16: {
        const Named x = pick_bool();
        return call("to_int", to_int(x.value), x);
      }
      default: return gather(ScalarType::i32);
    }
  }

  Named divide(const Named& a) {
    const Named b = divisor();
    return infix("/", a.value / b.value, a, b);
  }
  Named remainder(const Named& a) {
    const Named b = divisor();
    return infix("%", a.value % b.value, a, b);
  }
  Named shift(const Named& a) {
    const Named n = shift_count();
    if (dice_.chance(50)) return infix("<<", a.value << n.value, a, n);
    return infix(">>", a.value >> n.value, a, n);
  }

  Named float_operation() {
    const Named a = pick_float();
    const Named b = dice_.chance(30) ? pick_int() : pick_float();
    switch (dice_.below(12)) {
      case 0: return infix("+", a.value + b.value, a, b);
      case 1: return infix("-", a.value - b.value, a, b);
      case 2: return infix("*", a.value * b.value, a, b);
      case 3: return infix("/", a.value / b.value, a, b);
      case 4: return infix("%", a.value % b.value, a, b);
      case 5: return call("min", min(a.value, b.value), a, b);
      case 6: return call("max", max(a.value, b.value), a, b);
      case 7: return call("pow", pow(a.value, b.value), a, b);
      case 8: return select(pick_bool(), a, b);
      case 9: {
        const Named x = dice_.chance(70) ? pick_int() : pick_bool();
        return call("to_float", to_float(x.value), x);
      }
      case 10: return gather(ScalarType::f32);
      default: return unary_float(a);
    }
  }

  static Named unary_float(const char* name, Value (*function)(const Value&), const Named& a) {
    return call(name, function(a.value), a);
  }

  Named unary_float(const Named& a) {
    switch (dice_.below(17)) {
      case 0: return {-a.value, "(-" + a.name + ")"};
      case 1: return unary_float("abs", abs, a);
      case 2: return unary_float("exp", exp, a);
      case 3: return unary_float("exp2", exp2, a);
      case 4: return unary_float("log", log, a);
      case 5: return unary_float("log2", log2, a);
      case 6: return unary_float("tanh", tanh, a);
      case 7: return unary_float("sigmoid", sigmoid, a);
      case 8: return unary_float("sqrt", sqrt, a);
      case 9: return unary_float("rsqrt", rsqrt, a);
      case 10: return unary_float("sin", sin, a);
      case 11: return unary_float("cos", cos, a);
      case 12: return unary_float("erf", erf, a);
      case 13: return unary_float("floor", floor, a);
      case 14: return unary_float("ceil", ceil, a);
      case 15: return unary_float("trunc", trunc, a);
      default: return unary_float("round", round, a);
    }
  }

  Named comparison() {
    const Named a = pick_number();
    const Named b = dice_.chance(10) ? a : pick_number();
    switch (dice_.below(6)) {
      case 0: return infix("==", a.value == b.value, a, b);
      case 1: return infix("!=", a.value != b.value, a, b);
      case 2: return infix("<", a.value < b.value, a, b);
      case 3: return infix("<=", a.value <= b.value, a, b);
      case 4: return infix(">", a.value > b.value, a, b);
      default: return infix(">=", a.value >= b.value, a, b);
    }
  }

  Named bool_operation() {
    const Named a = pick_bool();
    const Named b = pick_bool();
    switch (dice_.below(10)) {
      case 0: return infix("&&", a.value && b.value, a, b);
      case 1: return infix("||", a.value || b.value, a, b);
      case 2: return {!a.value, "(!" + a.name + ")"};
      case 3: return infix("&", a.value & b.value, a, b);
      case 4: return infix("|", a.value | b.value, a, b);
      case 5: return infix("^", a.value ^ b.value, a, b);
      case 6: return infix("==", a.value == b.value, a, b);
      case 7: return select(pick_bool(), a, b);
      case 8: {
        const Named x = pick_number();
        return call("to_bool", to_bool(x.value), x);
      }
      default: return gather(ScalarType::boolean);
    }
  }

  static ScalarType read_as(DType dtype) {
    if (dtype == DType::boolean) return ScalarType::boolean;
    return is_floating(dtype) ? ScalarType::f32 : ScalarType::i32;
  }

  Named fallback(ScalarType type) {
    switch (type) {
      case ScalarType::f32: return literal_float();
      case ScalarType::i32: return literal_int();
      case ScalarType::boolean: return literal_bool();
    }
    return literal_bool();
  }

  Named gather(ScalarType type) {
    std::vector<const RandomTable*> fitting;
    for (const RandomTable& table : RandomTables::get().all()) {
      if (read_as(table.tensor.dtype) == type) fitting.push_back(&table);
    }
    if (!options_.captures) return fallback(type);
    const auto& table =
        *fitting[static_cast<std::size_t>(dice_.below(static_cast<int64_t>(fitting.size())))];
    const Capture tensor = capture(table.tensor);
    if (table.tensor.rank() == 0) return {Value(tensor), "Value(capture(" + table.name + "))"};
    Named result = index(pick_int(), table.tensor.size(0));
    result = {tensor[result.value], "capture(" + table.name + ")[" + result.name + "]"};
    for (int i = 1; i < table.tensor.rank(); ++i) {
      const Named next = index(pick_int(), table.tensor.size(i));
      result = {result.value[next.value], result.name + "[" + next.name + "]"};
    }
    return result;
  }

  Named index(const Named& a, int64_t size) {
    if (options_.faults && dice_.chance(10)) return a;
    return {a.value % size, "(" + a.name + " % " + std::to_string(size) + ")"};
  }

  Dice dice_;
  RandomProgramOptions options_;
  Pool ints_, floats_, bools_;
  std::string code_;
  int64_t pending_ = 0;  // weight of what was picked for the next operation
  int count_ = 0;
};

inline RandomProgram random_program(uint64_t seed, const RandomProgramOptions& options = {}) {
  return RandomProgramMaker(seed, options).make();
}

}  // namespace fovea::test
