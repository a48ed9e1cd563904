// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include <fovea/export.h>
#include "cpu/attention/tile_code.h"

namespace fovea {
class Program;
}

/// The tile machine's two inputs: a TileProgram (from structures alone, part of a plan) and a
/// TileBinding (the numbers and tensors of one call). The machine itself, which runs a score_mod
/// and a mask_mod in fp32 and int32 over tiles of scores, is built for each ISA: tile_machine-
/// inl.h.
namespace fovea::cpu {

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

 private:
  std::shared_ptr<const Data> data_;
};

/// Either program may be empty. Where the mask is false the score becomes -inf.
TileProgram lower(const Program& score_mod, const Program& mask_mod);

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
