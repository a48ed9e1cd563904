// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>

#include <fovea/export.h>
#include "analysis/joint_classes.h"
#include "cpu/attention/tile_code.h"

namespace fovea {
class Program;
}

/// The tile machine's two inputs: a TileProgram (from structures alone, part of a plan) and a
/// TileBinding (the numbers and tensors of one call). The machine itself, which runs a score_mod
/// and a mask_mod in fp32 and int32 over tiles of scores, is built for each ISA: tile_machine-
/// inl.h.
///
/// For the backward pass, lower_joint() gives a program with two parts. A kernel runs both on a tile,
/// one after the other, with the same machine; between them it makes dout from the scores:
///
///   machine.begin_head(b, h);
///   machine.begin_rows(q0, rows);
///   machine.run(kv0, cols, scores, ld, apply_mask);   // raw scores become modified scores
///   ... P = exp(scores - lse), dout = P * (dP - delta) ...
///   machine.run_backward(dout, ld, gradients);        // dout becomes d loss / d raw score
///
/// What the backward part needs of the forward part lies in the machine's scratch memory, so the
/// scores may be overwritten. An element whose dout is 0 gets dscore 0 and contributes nothing,
/// whatever its values: dout must be 0 where the mask is false. A weight_mod is lowered by itself,
/// without a mask, and is run in the same way with weights for scores.
///
/// run_backward() adds each contribution to the memory that `gradients` names, one TileGradient each
/// in the order of contributions(): to sums along rows, columns or diagonals, which GradientScatter
/// (scatter_gradients.h) brings to the captured tensor's gradient in the end, or right into a tensor.
/// The backward part of a program whose dscore is dout and that contributes nothing is empty: to call
/// it costs nothing.
namespace fovea::cpu {

/// One read of a captured tensor or parameter by a joint program: what is added to its gradient.
struct TileContribution {
  bool of_param = false;
  int32_t slot = 0;  // of the mod's captured tensors, or of its parameters
  /// index: along what it is summed (TileGradient); reads_b, reads_h: whether sums of other batches
  /// or heads go to other places of the tensor.
  analysis::ContributionClass classes;
};

/// A score_mod and a mask_mod, lowered: independent of the ISA, of lengths and of parameter values.
/// Immutable; copies share.
class TileProgram {
 public:
  struct Data;  // lower.h
  TileProgram();
  explicit TileProgram(std::shared_ptr<const Data> data);

  bool empty() const noexcept;     // nothing to run
  bool has_mask() const noexcept;  // applying the mask does something
  std::string describe() const;    // phase by phase, an instruction a line
  const TileCode& code() const noexcept;
  int32_t param_count() const noexcept;  // of both programs, what bind() expects
  int32_t capture_count() const noexcept;

  /// Of lower_joint(): in the order of JointProgram's captures, then params.
  std::span<const TileContribution> contributions() const noexcept;
  const program::JointProgram* joint() const noexcept;  // nullptr if there is none
  bool has_backward() const noexcept;                   // run_backward() does something

 private:
  std::shared_ptr<const Data> data_;
};

/// Either program may be empty. Where the mask is false the score becomes -inf.
TileProgram lower(const Program& score_mod, const Program& mask_mod);

/// The same with the backward part of `mod`, a score_mod or weight_mod, from which `joint` was derived.
TileProgram lower_joint(const Program& mod, const program::JointProgram& joint,
                        const Program& mask_mod);

/// One call's parameters and captures, in the order of lower(): score_mod's, then mask_mod's. The
/// captured memory is not copied.
class TileBinding {
 public:
  struct Data;
  TileBinding();
  explicit TileBinding(std::shared_ptr<const Data> data);
  const TileArguments& arguments() const noexcept;

 private:
  std::shared_ptr<const Data> data_;
};

/// `score_mod` and `mask_mod` must have the structures that were lowered. `needs_64_bits` (from
/// analysis::check_ranges over the call's indices, or an i32 parameter beyond 32 bits) makes the
/// machine evaluate every tile with program::RowInterpreter: exact, about a hundred times slower.
TileBinding bind(const TileProgram& program, const Program& score_mod, const Program& mask_mod,
                 bool needs_64_bits = false);

}  // namespace fovea::cpu
