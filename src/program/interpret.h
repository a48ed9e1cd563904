// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "program/graph.h"

/// The element-wise interpreter: float64 and exact 64-bit integers, one element at a time. It is the
/// one oracle that every faster way of running a program is tested against, so it stays plain.
namespace fovea::program {

struct Inputs {
  double score = 0;  // of a weight_mod: the weight
  int64_t b = 0, h = 0, q = 0, kv = 0;
  double dout = 0;  // of a JointProgram
};

/// Runs the whole program for one element. InvalidArgument if a capture index is out of range (names
/// the capture, the index and the element) or an integer leaves 64 bits.
Literal interpret(const Program& program, const Inputs& inputs);

/// One element of a captured tensor as a Literal of the type that a gather gives.
Literal read_element(const TensorView& tensor, std::span<const int64_t> indices);

/// The same, over many elements at once (plain loops over arrays of int64 and double: for masks and
/// for dense computations, not for kernels). Reuses its buffers between calls; one per thread.
class RowInterpreter {
 public:
  explicit RowInterpreter(const Program& program);
  ~RowInterpreter();
  RowInterpreter(RowInterpreter&&) noexcept;

  /// kv = kv0, kv0 + 1, ..., for fixed b, h, q. Out-of-range capture indices are errors as above. The
  /// results are valid until the next call.
  std::span<const uint8_t> run_mask(int64_t b, int64_t h, int64_t q, int64_t kv0, int64_t count);
  /// Of a score_mod, or of a weight_mod on weights. Where `active` is given and 0 the element is not
  /// wanted: it raises no error, and its result is undefined.
  std::span<const double> run_score(int64_t b, int64_t h, int64_t q, int64_t kv0,
                                    std::span<const double> score, const uint8_t* active = nullptr);
  int64_t elements_evaluated() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fovea::program
