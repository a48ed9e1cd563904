// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "analysis/bounds.h"
#include "analysis/known_bits.h"
#include "analysis/linear_form.h"
#include "analysis/range_table.h"

/// A program compiled to a flat list of interval steps, the machine under Bounds and check_ranges.
/// Steps are grouped by the axes they read, and a group runs again only if one of its axes moved.
namespace fovea::analysis {

/// How much of a captured tensor a gather may read.
enum class Contents : uint8_t {
  tables,    ///< everything, through pyramids: for many boxes
  scan,      ///< everything, by one pass over the elements: for one box
  by_dtype,  ///< nothing: what the element type alone says
};

class IntervalProgram {
 public:
  /// `contents`: one entry a node (for gathers), or empty for tables everywhere.
  IntervalProgram(const Program& program, std::shared_ptr<RangeTables> tables,
                  std::vector<Contents> contents);

  void run(const Box& box);
  const Interval& value(program::NodeId id) const { return values_[static_cast<std::size_t>(id)]; }

  /// After run(): the axes that the node may still depend on inside the box.
  Axes open_axes(program::NodeId id);
  /// Those of the undecided condition, at most `depth` ands, ors and nots below, that is open on the
  /// fewest.
  Axes narrow_axes(program::NodeId id, int depth = 6);

 private:
  /// What a step does: an operation for one type of operands, or a cheaper special case.
  enum class Rule : uint8_t {
    // clang-format off
    input_score, input_b, input_h, input_q, input_kv, gather, select_int, select_float,
    add, sub, mul, scale, neg, abs, min, max,
    divide, divide_by, shift_down, remainder, remainder_by, low_bits,
    eq, ne, lt, le, negate, copy, to_f32, to_bool,
    bit_and, bit_or, bit_xor, bit_not, shift_left, shift_right,
    any_32_bits,
    linear, linear_eq, linear_ne, linear_lt, linear_le,
    match_eq, match_ne,   // of two gathers, by their sets as well
    find_eq, find_ne,     // of a gather and what is none: does it hold such a value there?
    floating,             // operands in floats: see eval_floating
    // clang-format on
  };
  struct Step {
    Rule rule = Rule::floating;
    program::Op op = program::Op::input;
    bool float_result = false;
    Axes axes = 0;  // that the step reads
    program::NodeId out = -1;
    program::NodeId a = -1, b = -1, c = -1;
    int32_t first = 0, count = 0;  // linear: terms; gather: indices
    int32_t slot = 0;              // gather: of the capture
    int64_t number = 0;            // linear: the constant; gather: can it be read here?; else a
                                   // constant operand or its bit count
  };

  struct Values {  // of a gather that is compared
    ValueSet set;
    bool wanted = false;
    int64_t first = 0, last = -1;  // positions that are read; last < first: not known
  };

  void compile();
  Step step_of(program::NodeId id);
  Axes axes_read(const Step& step) const;
  static bool is_bit_rule(Rule rule) { return rule >= Rule::bit_and && rule <= Rule::shift_right; }
  template <class F>
  void for_each_operand(const Step& step, F&& body) const;
  Rule integer_rule(Step& step);
  Rule rule_by_constant(Step& step, Rule general) const;
  Rule match_rule(Step& step, Rule plain);
  void set_constant(program::NodeId id, const Literal& literal);
  bool make_linear(program::NodeId id, Step& step);
  LinearForm& form(program::NodeId id) { return forms_[static_cast<std::size_t>(id)]; }
  void order();

  void run_steps(std::size_t group);
  void eval_floating(const Step& step);
  void eval_bits(const Step& step);
  KnownBits known_bits_of(program::NodeId id) const;
  void eval_gather(const Step& step);
  void gather_unknown(const Step& step);
  IntRange linear_sum(const Step& step) const;
  bool may_match(const Step& step) const;
  bool may_find(const Step& step) const;
  bool is_decided_select(const Step& step) const;

  IntRange ints(program::NodeId id) const {
    const Interval& v = value(id);
    return {v.lo, v.hi};
  }
  FloatRange floats(program::NodeId id) const {
    const Interval& v = value(id);
    return {v.flo, v.fhi, v.nan};
  }
  void set(program::NodeId id, IntRange range) {
    Interval& v = values_[static_cast<std::size_t>(id)];
    v.lo = range.lo;
    v.hi = range.hi;
  }
  void set(program::NodeId id, FloatRange range) {
    Interval& v = values_[static_cast<std::size_t>(id)];
    v.flo = range.lo;
    v.fhi = range.hi;
    v.nan = range.nan;
  }

  Program program_;
  std::shared_ptr<RangeTables> tables_;
  std::vector<Contents> contents_;
  std::vector<Interval> values_;
  std::vector<Values> sets_;     // of gathers in a match rule; else empty
  std::vector<KnownBits> bits_;  // of the results of bit rules; empty without any
  std::vector<Step> steps_;
  std::vector<int32_t> step_of_node_;    // -1: a constant
  std::vector<Axes> read_;               // that a node depends on, whatever the box
  std::vector<LinearForm> forms_;        // only while compiling
  std::vector<LinearForm::Term> terms_;  // of all linear steps

  // steps_[group_end_[g - 1], group_end_[g]): constants, b and h, q, kv, both.
  static constexpr std::size_t kGroups = 5;
  std::size_t group_end_[kGroups] = {};
  Box box_;
  bool fresh_ = true;

  std::vector<program::NodeId> pending_;  // of open_axes
  std::vector<uint64_t> seen_;
  uint64_t epoch_ = 0;
};

}  // namespace fovea::analysis
