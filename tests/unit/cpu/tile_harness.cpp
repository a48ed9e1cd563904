// SPDX-License-Identifier: Apache-2.0
#include "unit/cpu/tile_harness.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <ostream>

#include <gtest/gtest.h>

#include "cpu/attention/scatter_gradients.h"
#include "cpu/isa.h"

namespace fovea::cpu::testing {
namespace {

constexpr float kGuard = 12345.0f;

const TileMachineEntry* entry_of(Isa isa) {
  switch (isa) {
    case Isa::baseline: return &baseline::kTileMachine;
    case Isa::avx2:
#if defined(FOVEA_HAVE_ISA_AVX2)
      return &avx2::kTileMachine;
#else
      break;
#endif
    case Isa::avx512:
#if defined(FOVEA_HAVE_ISA_AVX512)
      return &avx512::kTileMachine;
#else
      break;
#endif
    case Isa::avx512_bf16:
#if defined(FOVEA_HAVE_ISA_AVX512_BF16)
      return &avx512_bf16::kTileMachine;
#else
      break;
#endif
    case Isa::neon:
#if defined(FOVEA_HAVE_ISA_NEON)
      return &neon::kTileMachine;
#else
      break;
#endif
  }
  return nullptr;
}

struct Free {
  void operator()(void* p) const { std::free(p); }
};
using Scratch = std::unique_ptr<void, Free>;

// Exactly as large as asked for, so that a sanitizer sees what goes beyond; filled with NaN.
Scratch scratch_of(const NamedMachine& machine, const TileProgram& program, int64_t max_rows,
                   int64_t max_cols) {
  const std::size_t bytes = machine.entry->scratch_bytes(program, max_rows, max_cols);
  Scratch scratch(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
  std::memset(scratch.get(), 0xff, bytes);
  return scratch;
}

// A tile in memory with columns behind each row, which nobody may write.
class PaddedTile {
 public:
  PaddedTile(const TileShape& shape, const std::vector<float>& values)
      : rows_(shape.rows), cols_(shape.cols), ld_(shape.cols + shape.padding) {
    memory_.assign(static_cast<std::size_t>(rows_ * ld_), kGuard);
    for (int64_t k = 0; k < rows_ * cols_; ++k) {
      at(k / cols_, k % cols_) = values[static_cast<std::size_t>(k)];
    }
  }
  float* data() { return memory_.data(); }
  int64_t ld() const { return ld_; }

  std::vector<float> values() {
    std::vector<float> result;
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < ld_; ++j) {
        if (j < cols_) {
          result.push_back(at(i, j));
        } else {
          EXPECT_EQ(at(i, j), kGuard) << "written behind row " << i << ", column " << j;
        }
      }
    }
    return result;
  }

 private:
  float& at(int64_t i, int64_t j) { return memory_[static_cast<std::size_t>(i * ld_ + j)]; }

  int64_t rows_, cols_, ld_;
  std::vector<float> memory_;
};

// Gradients between guards.
class GradientMemory {
 public:
  GradientMemory(const TileContribution& to, const Program& mod, const TileShape& shape,
                 float start) {
    int64_t count = 0;
    const auto index = to.classes.index;
    if (index == analysis::IndexClass::tile || index == analysis::IndexClass::gathered) {
      const Dims& sizes = mod.captures()[static_cast<std::size_t>(to.slot)].sizes;
      const Dims strides = contiguous_strides(sizes);
      count = 1;
      for (int k = 0; k < sizes.rank(); ++k) {
        gradient_.sizes[k] = sizes[k];
        gradient_.strides[k] = strides[k];
        count *= sizes[k];
      }
    } else {
      const SumRange range = sum_range(index, shape.q0, shape.rows, shape.kv0, shape.cols);
      gradient_.first = range.first;
      count = range.count;
    }
    memory_.assign(static_cast<std::size_t>(count + 2), start);
    memory_.front() = memory_.back() = kGuard;
  }

  TileGradient gradient() {
    gradient_.data = memory_.data() + 1;
    return gradient_;
  }

  std::vector<float> values() const {
    EXPECT_EQ(memory_.front(), kGuard) << "written before the gradient";
    EXPECT_EQ(memory_.back(), kGuard) << "written behind the gradient";
    return {memory_.begin() + 1, memory_.end() - 1};
  }

 private:
  TileGradient gradient_;
  std::vector<float> memory_;
};

TileRequest request_of(const TileProgram& program, const TileBinding& binding,
                       const TileShape& shape, void* scratch, PaddedTile& scores,
                       const TileOptions& options) {
  return {.program = &program,
          .binding = &binding,
          .scratch = scratch,
          .max_rows = shape.rows + shape.extra_rows,
          .max_cols = shape.cols + shape.extra_cols,
          .b = shape.b,
          .h = shape.h,
          .q0 = shape.q0,
          .rows = shape.rows,
          .kv0 = shape.kv0,
          .cols = shape.cols,
          .scores = scores.data(),
          .ld = scores.ld(),
          .apply_mask = options.apply_mask};
}

}  // namespace

std::vector<NamedMachine> machines() {
  std::vector<NamedMachine> all;
  for (const Isa isa : usable_isas()) {
    if (const TileMachineEntry* entry = entry_of(isa)) all.push_back({name_of(isa), entry});
  }
  all.push_back({"wide", &wide::kTileMachine});
  return all;
}

std::string name_of_machine(const NamedMachine& machine) { return machine.name; }
void PrintTo(const NamedMachine& machine, std::ostream* out) { *out << machine.name; }

std::vector<float> run_tile(const NamedMachine& machine, const TileProgram& lowered,
                            const Program& score_mod, const Program& mask_mod,
                            const TileShape& shape, const std::vector<float>& scores,
                            const TileOptions& options) {
  const TileBinding binding = bind(lowered, score_mod, mask_mod, options.needs_64_bits);
  const Scratch scratch =
      scratch_of(machine, lowered, shape.rows + shape.extra_rows, shape.cols + shape.extra_cols);
  PaddedTile memory(shape, scores);
  machine.entry->run(request_of(lowered, binding, shape, scratch.get(), memory, options));
  return memory.values();
}

std::vector<float> run_tile(const NamedMachine& machine, const Program& score_mod,
                            const Program& mask_mod, const TileShape& shape,
                            const std::vector<float>& scores, const TileOptions& options) {
  return run_tile(machine, lower(score_mod, mask_mod), score_mod, mask_mod, shape, scores, options);
}

JointTile run_joint_tile(const NamedMachine& machine, const TileProgram& lowered,
                         const Program& mod, const Program& mask_mod, const TileShape& shape,
                         const std::vector<float>& scores, const std::vector<float>& dout,
                         const TileOptions& options, float start) {
  const TileBinding binding = bind(lowered, mod, mask_mod, options.needs_64_bits);
  const Scratch scratch =
      scratch_of(machine, lowered, shape.rows + shape.extra_rows, shape.cols + shape.extra_cols);
  std::vector<GradientMemory> memories;
  for (const TileContribution& to : lowered.contributions()) {
    memories.emplace_back(to, mod, shape, start);
  }
  std::vector<TileGradient> gradients;
  for (GradientMemory& memory : memories) gradients.push_back(memory.gradient());

  JointTile result;
  result.scores.resize(scores.size());
  PaddedTile score_tile(shape, scores), dout_tile(shape, dout);
  TileRequest request = request_of(lowered, binding, shape, scratch.get(), score_tile, options);
  request.dout = dout_tile.data();
  request.dout_ld = dout_tile.ld();
  request.after = result.scores.data();
  request.gradients = gradients.data();
  machine.entry->run(request);
  score_tile.values();
  result.dscore = dout_tile.values();
  for (const GradientMemory& memory : memories) result.gradients.push_back(memory.values());
  return result;
}

program::JointProgram joint_of(const Program& mod, bool params) {
  program::Wanted wanted = program::all_captures(mod.graph());
  const auto& types = mod.graph().params;
  for (std::size_t slot = 0; params && slot < types.size(); ++slot) {
    if (types[slot] == ScalarType::f32) wanted.params.push_back(static_cast<int32_t>(slot));
  }
  return program::derive(mod.graph(), wanted);
}

}  // namespace fovea::cpu::testing
