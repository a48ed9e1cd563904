// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <fovea/program.h>
#include "program/graph.h"

/// Interval analysis of a program over a box of indices. Sound: wherever in the box the program has a
/// value (no fault: see interpret.h), the value lies in the interval; a property test samples it.
/// Booleans are intervals of 0 and 1.
namespace fovea::analysis {

/// Inclusive ranges of the indices.
struct Box {
  int64_t b0 = 0, b1 = 0, h0 = 0, h1 = 0, q0 = 0, q1 = 0, kv0 = 0, kv1 = 0;

  bool is_empty() const noexcept { return b0 > b1 || h0 > h1 || q0 > q1 || kv0 > kv1; }
  friend bool operator==(const Box&, const Box&) = default;
};

/// An integer end that stands for "no bound known": ends beyond 2^61 are moved here.
inline constexpr int64_t kUnbounded = (int64_t{1} << 62) - 1;

struct Interval {
  // i32 and bool: [lo, hi] in integers, -kUnbounded and kUnbounded where no bound is known.
  // f32: every value that is no NaN lies in [flo, fhi]; nan says whether a NaN is possible.
  int64_t lo = 0, hi = 0;
  double flo = 0, fhi = 0;
  bool nan = false;
};

enum class Verdict : uint8_t { none, all, mixed };

/// A set of index axes, as bits.
enum Axis : uint8_t { kAxisB = 1, kAxisH = 2, kAxisQ = 4, kAxisKv = 8 };
using Axes = uint8_t;

/// Evaluates one program over many boxes. Not thread-safe; a clone may run beside it. The tables of
/// captured tensors (power-of-two min/max pyramids over their elements in row-major order) are built
/// at the first box that needs them, and shared with the clones.
class Bounds {
 public:
  explicit Bounds(const Program& program);
  ~Bounds();
  Bounds(Bounds&&) noexcept;
  Bounds clone() const;

  const Interval& at(const Box& box);              // of the root
  const Interval& node(program::NodeId id) const;  // after at()
  Verdict verdict(const Box& box);                 // of a mask

  /// After at(): the axes on which the root may still depend inside the box. Along the others it is
  /// constant, and with none left one element tells the value in the whole box.
  Axes open_axes();
  /// The same for the undecided condition under the root's ands, ors and nots that is open on the
  /// fewest axes: to cut the box along these decides that condition soonest.
  Axes narrow_axes();

 private:
  struct State;
  explicit Bounds(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// What bounds over the whole index space (B, H, Lq, Lk) say about a program before it runs.
struct RangeCheck {
  bool needs_64_bits = false;         // some integer node may leave 32 bits
  bool reads_captures = false;        // the values of captured tensors were read for this
  std::vector<bool> may_leave_range;  // one a node: a gather with an index not proven inside
};
/// InvalidArgument, prefixed `[where]`, if the result depends for every element of the box on an index
/// that is outside its tensor (a proven error): names the index, the captured tensor and the range. Cheap
/// enough for every call: of captured tensors it reads those alone whose values enter an index or
/// integer arithmetic, and 64-bit ones. An empty box proves nothing.
RangeCheck check_ranges(const Program& program, const Box& whole, const char* where);

}  // namespace fovea::analysis
