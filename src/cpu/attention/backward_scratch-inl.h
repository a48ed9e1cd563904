// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/backward_kernels.h"
#include "cpu/attention/tile_machine-inl.h"
#include "cpu/microkernel.h"

/// The memory of a worker of the backward pass. For kernel sources only, as simd.h.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

FOVEA_INLINE int64_t whole_vectors(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }
FOVEA_INLINE int64_t whole_panels(int64_t n) {
  return (n + kBlockColumns - 1) / kBlockColumns * kBlockColumns;
}

/// One worker's memory.
struct BackwardScratch {
  // Floats from row to row: of a tile, of the sums and of copied rows.
  int64_t tile_row, key_row, value_row, query_copy_row, dout_copy_row;
  float *keys, *values;      // transposed: panels of kBlockColumns keys
  float* key_rows;           // panels of columns, times the scale
  uint8_t* keys_not_finite;  // one for kFiniteChunk keys
  float *key_sums, *value_sums;
  float *scores, *gradients;
  float* modified;  // weights after weight_mod
  float *query_copy, *dout_copy;
  void *machine, *weight_machine;
  size_t bytes;

  /// With memory == nullptr only `bytes` counts.
  BackwardScratch(const BackwardCall& call, void* memory) {
    const bool scores_wanted = gradient_of_scores(call);
    const int64_t panel_keys = whole_panels(call.key_tile);
    // A strip may begin inside a vector. An odd number of cache lines keeps rows off the same cache sets.
    tile_row = (((call.key_tile + 15) / 16 + 1) | 1) * 16;
    key_row = whole_vectors(call.head_dim);
    value_row = whole_vectors(call.value_dim);
    query_copy_row = key_row + 16;
    dout_copy_row = value_row + 16;
    bytes = 0;
    char* base = static_cast<char*>(memory);
    keys = take<float>(base, panel_keys * call.head_dim);
    values = take<float>(base, scores_wanted ? panel_keys * call.value_dim : 0);
    key_rows =
        take<float>(base, call.dquery.data ? whole_panels(call.head_dim) * call.key_tile : 0);
    keys_not_finite = take<uint8_t>(base, (call.key_tile + kFiniteChunk - 1) / kFiniteChunk);
    key_sums = take<float>(base, call.dkey.data ? call.key_tile * key_row : 0);
    value_sums = take<float>(base, call.dvalue.data ? call.key_tile * value_row : 0);
    scores = take<float>(base, call.row_tile * tile_row);
    gradients = take<float>(base, scores_wanted ? call.row_tile * tile_row : 0);
    modified = take<float>(base, call.weight_program ? call.row_tile * tile_row : 0);
    query_copy = take<float>(base, call.query_in_place ? 0 : call.row_tile * query_copy_row);
    dout_copy = take<float>(base, call.dout_in_place ? 0 : call.row_tile * dout_copy_row);
    machine = take_machine(base, call, call.program);
    weight_machine = take_machine(base, call, call.weight_program);
    bytes = (bytes + 63) / 64 * 64;
  }

  static bool gradient_of_scores(const BackwardCall& call) {
    return call.dquery.data != nullptr || call.dkey.data != nullptr || call.captures_wanted ||
           call.delta_pass;
  }

 private:
  template <class T>
  T* take(char* base, int64_t count) {
    char* at = base == nullptr ? nullptr : base + bytes;
    bytes += (static_cast<size_t>(count) * sizeof(T) + 63) / 64 * 64;
    return reinterpret_cast<T*>(at);
  }

  void* take_machine(char* base, const BackwardCall& call, const TileProgram* program) {
    if (program == nullptr) return nullptr;
    const size_t size = TileMachine::scratch_bytes(*program, call.row_tile, call.key_tile);
    return take<char>(base, static_cast<int64_t>(size));
  }
};

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
