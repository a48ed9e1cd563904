// SPDX-License-Identifier: Apache-2.0
#include "unit/cpu/tile_harness.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <ostream>

#include <gtest/gtest.h>

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
  const int64_t max_rows = shape.rows + shape.extra_rows, max_cols = shape.cols + shape.extra_cols;
  const std::size_t bytes = machine.entry->scratch_bytes(lowered, max_rows, max_cols);
  // Exactly as large as asked for, so that a sanitizer sees what goes beyond; filled with NaN.
  const std::unique_ptr<void, Free> scratch(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
  std::memset(scratch.get(), 0xff, bytes);

  const int64_t ld = shape.cols + shape.padding;
  std::vector<float> memory(static_cast<std::size_t>(shape.rows * ld), kGuard);
  const auto at = [&](int64_t i, int64_t j) -> float& {
    return memory[static_cast<std::size_t>(i * ld + j)];
  };
  for (int64_t i = 0; i < shape.rows; ++i) {
    for (int64_t j = 0; j < shape.cols; ++j) {
      at(i, j) = scores[static_cast<std::size_t>(i * shape.cols + j)];
    }
  }
  machine.entry->run({.program = &lowered,
                      .binding = &binding,
                      .scratch = scratch.get(),
                      .max_rows = max_rows,
                      .max_cols = max_cols,
                      .b = shape.b,
                      .h = shape.h,
                      .q0 = shape.q0,
                      .rows = shape.rows,
                      .kv0 = shape.kv0,
                      .cols = shape.cols,
                      .scores = memory.data(),
                      .ld = ld,
                      .apply_mask = options.apply_mask});
  std::vector<float> result;
  for (int64_t i = 0; i < shape.rows; ++i) {
    for (int64_t j = 0; j < ld; ++j) {
      if (j < shape.cols) {
        result.push_back(at(i, j));
      } else {
        EXPECT_EQ(at(i, j), kGuard) << "written behind row " << i << ", column " << j;
      }
    }
  }
  return result;
}

std::vector<float> run_tile(const NamedMachine& machine, const Program& score_mod,
                            const Program& mask_mod, const TileShape& shape,
                            const std::vector<float>& scores, const TileOptions& options) {
  return run_tile(machine, lower(score_mod, mask_mod), score_mod, mask_mod, shape, scores, options);
}

}  // namespace fovea::cpu::testing
