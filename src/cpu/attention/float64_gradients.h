// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "attention/backward_problem.h"
#include "program/joint_rows.h"

/// Sums of gradients in float64, and what joint programs add to them.
namespace fovea::cpu {

/// A gradient of any shape and dtype while it is summed: in its own memory if that is float64, else beside
/// it. Not wanted: false.
class Float64Gradient {
 public:
  explicit Float64Gradient(const TensorView& view);
  Float64Gradient(Float64Gradient&&) noexcept = default;
  explicit operator bool() const { return static_cast<bool>(view_); }

  const TensorView& sums() const { return sums_; }  // f64, of the gradient's sizes
  void add(int64_t at, double x) { static_cast<double*>(sums_.data)[at] += x; }
  void clear();  // before the first addition
  void store() const;

 private:
  TensorView view_, sums_;
  std::vector<double> own_;
};

/// A mod's joint program on one thread, and what its tile adds to the gradients of captured tensors: kept
/// until it is the tile's turn.
class Float64Joint {
 public:
  /// Without a mod, `joint` is null. A tile has `runs` runs, of `elements` in all, at most.
  Float64Joint(const program::JointProgram* joint, const Program& mod, int64_t runs,
               int64_t elements, std::vector<Float64Gradient>& gradients);
  explicit operator bool() const { return rows_.has_value(); }

  void begin_tile() { additions_.clear(); }

  /// Runs elements kv0, kv0 + 1, ... of a row. dout becomes d loss / d score, and `result` (if wanted) what
  /// the mod makes of the scores. Where `active` is 0 both become 0, and nothing is contributed.
  void run(const program::Inputs& first, std::span<const double> score, std::span<double> dout,
           const uint8_t* active, double* result);

  /// Adds what the tile's runs gave, in their order.
  void add();

 private:
  struct Addition {
    Float64Gradient* to = nullptr;
    int64_t at = 0;
    double value = 0;
  };
  void contribute(const program::JointProgram::Contribution& c, int64_t count,
                  const uint8_t* active);

  const program::JointProgram* joint_;
  std::optional<program::JointRows> rows_;
  std::vector<Float64Gradient>* gradients_;
  std::vector<Addition> additions_;
};

}  // namespace fovea::cpu
