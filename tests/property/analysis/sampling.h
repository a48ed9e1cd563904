// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <string>

#include "analysis/bounds.h"
#include "program/element.h"
#include "property/program/random_program.h"

/// Random boxes, points in them, and the value of every node at a point.
namespace fovea::test {

inline program::Inputs random_point(Dice& dice, const analysis::Box& box) {
  const auto pick = [&](int64_t first, int64_t last) {
    if (dice.chance(25)) return dice.chance(50) ? first : last;  // ends find most mistakes
    return first + dice.below(last - first + 1);
  };
  static constexpr std::array<double, 6> kScores = {0.0, -0.0, HUGE_VAL, -HUGE_VAL, NAN, 1e30};
  program::Inputs point;
  point.score = dice.chance(30) ? dice.pick(kScores) : dice.normal() * 4;
  point.b = pick(box.b0, box.b1);
  point.h = pick(box.h0, box.h1);
  point.q = pick(box.q0, box.q1);
  point.kv = pick(box.kv0, box.kv1);
  return point;
}

/// Points, short ranges, aligned powers of two and long ranges.
inline void random_range(Dice& dice, int64_t& first, int64_t& last) {
  switch (dice.below(4)) {
    case 0: first = last = dice.below(200); break;
    case 1:
      first = dice.below(200);
      last = first + dice.below(20);
      break;
    case 2: {
      const int64_t size = int64_t{1} << dice.below(8);
      first = dice.below(16) * size;
      last = first + size - 1;
      break;
    }
    default:
      first = dice.below(1000);
      last = first + dice.below(int64_t{1} << 20);
      break;
  }
}

inline analysis::Box random_box(Dice& dice) {
  analysis::Box box;
  box.b0 = dice.below(3);
  box.b1 = box.b0 + (dice.chance(50) ? 0 : dice.below(4));
  box.h0 = dice.below(4);
  box.h1 = box.h0 + (dice.chance(50) ? 0 : dice.below(4));
  random_range(dice, box.q0, box.q1);
  random_range(dice, box.kv0, box.kv1);
  return box;
}

/// Every node's value and whether it has one.
class PointValues {
 public:
  explicit PointValues(const Program& program) : program_(program), element_(program_) {}

  void evaluate(const program::Inputs& point) {
    for (program::NodeId id = 0; id < program_.graph().size(); ++id) element_.evaluate(id, point);
  }
  bool has_value(program::NodeId id) const { return !element_.has_fault(id); }
  const Literal& value(program::NodeId id) const { return element_.value(id); }

 private:
  Program program_;
  program::ElementState element_;
};

inline std::string to_text(const program::Inputs& p) {
  return "score " + std::to_string(p.score) + " b " + std::to_string(p.b) + " h " +
         std::to_string(p.h) + " q " + std::to_string(p.q) + " kv " + std::to_string(p.kv);
}

inline std::string to_text(const Literal& value) {
  return value.type == ScalarType::f32 ? std::to_string(value.f) : std::to_string(value.i);
}

inline std::string to_text(const analysis::Box& x) {
  const auto range = [](const char* name, int64_t first, int64_t last) {
    return std::string(name) + " " + std::to_string(first) + ".." + std::to_string(last) + " ";
  };
  return range("b", x.b0, x.b1) + range("h", x.h0, x.h1) + range("q", x.q0, x.q1) +
         range("kv", x.kv0, x.kv1);
}

/// Random programs of all lengths, half of them masks; a failure prints the seed, the code that makes
/// the program and its text.
template <class F>
void for_each_random_program(uint64_t count, F&& check) {
  for (uint64_t seed = 1; seed <= count; ++seed) {
    RandomProgramOptions options;
    options.kind = seed % 2 == 0 ? ModKind::mask : ModKind::score;
    options.steps = 1 + static_cast<int>(seed % 30);
    options.faults = seed % 3 == 0;
    const RandomProgram random = random_program(seed, options);
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + random.code + random.program.to_string());
    Dice dice(seed ^ 0xb0c5);
    check(random.program, dice);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace fovea::test
