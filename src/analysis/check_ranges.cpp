// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>

#include "analysis/bounds.h"
#include "analysis/interval_program.h"
#include "core/fail.h"

namespace fovea::analysis {
namespace {

using program::Graph;
using program::Node;
using program::NodeId;
using program::Op;

// Which gathers must be read: those whose values enter an index or integer arithmetic, directly or
// through other nodes; and 64-bit ones, whose values may not fit 32.
std::vector<Contents> contents_needed(const Program& program) {
  const Graph& graph = program.graph();
  std::vector<Contents> contents(graph.nodes.size(), Contents::by_dtype);
  std::vector<bool> needed(graph.nodes.size(), false);
  for (NodeId id = graph.size() - 1; id >= 0; --id) {
    const Node& node = graph[id];
    const bool wide = node.type == ScalarType::i32;
    const bool is_needed = needed[static_cast<std::size_t>(id)];
    if (node.op == Op::gather) {
      const TensorView& tensor = program.captures()[static_cast<std::size_t>(node.slot)];
      if (is_needed || tensor.dtype == DType::i64) {
        contents[static_cast<std::size_t>(id)] = Contents::scan;
      }
    }
    // Integer results need tight operands, and the floats that they come from; conditions may stay open.
    // Random bits are the same whatever their operands are.
    const bool passes_on =
        node.type != ScalarType::boolean && node.op != Op::philox && (wide || is_needed);
    if (node.op == Op::gather || passes_on) {
      for (const NodeId arg : graph.args(node)) needed[static_cast<std::size_t>(arg)] = true;
    }
  }
  return contents;
}

// The nodes whose value the result depends on for every element. An operand that another one may make
// irrelevant (the branch that a `where` does not take, what stands behind a deciding && or ||) is none.
std::vector<bool> always_read(const Graph& graph, const IntervalProgram& intervals) {
  std::vector<bool> read(graph.nodes.size(), false);
  read[static_cast<std::size_t>(graph.root)] = true;
  const auto is = [&](NodeId id, int64_t value) {
    const Interval& range = intervals.value(id);
    return range.lo == value && range.hi == value;
  };
  for (NodeId id = graph.size() - 1; id >= 0; --id) {
    const Node& node = graph[id];
    const auto args = graph.args(node);
    if (!read[static_cast<std::size_t>(id)]) continue;
    const bool is_bool = node.type == ScalarType::boolean;
    const bool conjunction = node.op == Op::logical_and || (is_bool && node.op == Op::bit_and);
    const bool disjunction = node.op == Op::logical_or || (is_bool && node.op == Op::bit_or);
    for (std::size_t i = 0; i < args.size(); ++i) {
      bool needs = true;
      if (node.op == Op::where && i > 0) needs = is(args[0], i == 1 ? 1 : 0);
      if (conjunction) needs = is(args[1 - i], 1);
      if (disjunction) needs = is(args[1 - i], 0);
      if (needs) read[static_cast<std::size_t>(args[i])] = true;
    }
  }
  return read;
}

std::string text_of(IntRange range) {
  const auto end = [](int64_t value) {
    if (value == kUnbounded) return std::string("inf");
    return value == -kUnbounded ? std::string("-inf") : std::to_string(value);
  };
  if (range.is_point()) return end(range.lo);
  return end(range.lo) + " to " + end(range.hi);
}

[[noreturn]] void fail_outside(const char* where, int32_t slot, int dimension, int64_t size,
                               IntRange index) {
  core::fail_argument(
      where, "index " + std::to_string(dimension) + " of captured tensor t" + std::to_string(slot),
      size == 0 ? "none (the size is 0)" : "0 to " + std::to_string(size - 1), text_of(index));
}

}  // namespace

RangeCheck check_ranges(const Program& program, const Box& whole, const char* where) {
  const Graph& graph = program.graph();
  RangeCheck check;
  check.may_leave_range.assign(graph.nodes.size(), false);
  if (whole.is_empty()) return check;

  std::vector<Contents> contents = contents_needed(program);
  check.reads_captures = std::ranges::count(contents, Contents::scan) > 0;
  IntervalProgram intervals(program, nullptr, std::move(contents));
  intervals.run(whole);
  const auto range = [&](NodeId id) {
    const Interval& value = intervals.value(id);
    return IntRange{value.lo, value.hi};
  };
  std::vector<bool> read;  // found when first asked for: hardly any program leaves its tables
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph[id];
    if (node.type == ScalarType::i32) {
      const IntRange value = range(id);
      check.needs_64_bits |= value.lo < INT32_MIN || value.hi > INT32_MAX;
    }
    if (node.op != Op::gather) continue;
    const TensorView& tensor = program.captures()[static_cast<std::size_t>(node.slot)];
    const auto indices = graph.args(node);
    for (std::size_t d = 0; d < indices.size(); ++d) {
      const IntRange index = range(indices[d]);
      const int64_t size = tensor.size(static_cast<int>(d));
      if (index.lo >= 0 && index.hi < size) continue;
      check.may_leave_range[static_cast<std::size_t>(id)] = true;
      if (index.hi >= 0 && index.lo < size) continue;
      if (read.empty()) read = always_read(graph, intervals);
      if (read[static_cast<std::size_t>(id)]) {
        fail_outside(where, node.slot, static_cast<int>(d), size, index);
      }
    }
  }
  return check;
}

}  // namespace fovea::analysis
