// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <vector>

#include "common.h"

using fovea_capi::copy_text;
using fovea_capi::guarded;
using fovea_capi::has_tensor;
using fovea_capi::require;
using fovea_capi::to_view;

namespace {

void mark(std::span<const fovea::BlockRun> runs, uint8_t kind, uint8_t* row) {
  for (const fovea::BlockRun& run : runs) std::fill(row + run.begin, row + run.end, kind);
}

fovea::TensorView to_optional_view(const fovea_capi_tensor& tensor) {
  return has_tensor(tensor) ? to_view(tensor) : fovea::TensorView();
}

std::optional<int64_t> to_optional(int64_t number) {
  return number == FOVEA_CAPI_NONE ? std::nullopt : std::optional(number);
}

fovea::BlockIndex to_index(const fovea_capi_block_index& index) {
  if (index.list) return fovea::BlockIndex::list({index.list, index.list + index.count});
  return fovea::BlockIndex::slice(to_optional(index.begin), to_optional(index.end), index.step);
}

void copy(const std::vector<int32_t>& from, int32_t* to) {
  std::copy(from.begin(), from.end(), to);
}

fovea::BlockMask combine(int32_t operation, const fovea::BlockMask& a,
                         const fovea_capi_block_mask* b) {
  if (operation == FOVEA_CAPI_NOT) return fovea::not_mask(a);
  require(b, "[fovea_capi_block_mask_combine] b: expected a mask, got none");
  return operation == FOVEA_CAPI_AND ? fovea::and_masks(a, b->value) : fovea::or_masks(a, b->value);
}

fovea::BlockMask change(int32_t operation, const fovea::BlockMask& mask, int64_t x, int64_t y) {
  switch (operation) {
    case FOVEA_CAPI_ADJUSTED: return mask.adjusted(x, y);
    case FOVEA_CAPI_DECODE_SLICE: return mask.decode_slice(x, y);
    case FOVEA_CAPI_EXPANDED: return mask.expanded(x, y);
    case FOVEA_CAPI_TRANSPOSED: return mask.transposed();
    case FOVEA_CAPI_WITHOUT_FULL_BLOCKS: return mask.without_full_blocks();
    default: break;
  }
  throw fovea::InvalidArgument("[fovea_capi_block_mask_change] operation: expected 0 to 4");
}

}  // namespace

extern "C" {

int fovea_capi_create_block_mask(const fovea_capi_program* mask_mod,
                                 const fovea_capi_block_mask_options* options,
                                 fovea_capi_block_mask** mask) {
  return guarded([&] {
    require(mask_mod && options && mask,
            "[fovea_capi_create_block_mask] arguments: expected a mask_mod and its options");
    fovea::BlockMaskOptions in;
    in.q_len = options->q_len;
    in.kv_len = options->kv_len;
    in.batch = options->batch;
    in.heads = options->heads;
    in.block_size = {options->block_q, options->block_kv};
    *mask = new fovea_capi_block_mask{fovea::create_block_mask(mask_mod->value, in)};
  });
}

int fovea_capi_block_mask_describe(const fovea_capi_block_mask* mask,
                                   fovea_capi_block_mask_info* info) {
  return guarded([&] {
    const fovea::BlockCounts counts = mask->value.counts();
    const fovea::BlockMaskStats& stats = mask->value.stats();
    const fovea::BlockMask& value = mask->value;
    *info = {.q_len = value.q_len(),
             .kv_len = value.kv_len(),
             .batch = value.batch(),
             .heads = value.heads(),
             .full = counts.full,
             .partial = counts.partial,
             .skipped = counts.skipped,
             .rows = value.rows(),
             .columns = value.columns(),
             .memory_bytes = value.memory_bytes(),
             .boxes = stats.boxes,
             .leaves = stats.leaves,
             .leaf_evaluations = stats.leaf_evaluations};
  });
}

int fovea_capi_block_mask_kinds(const fovea_capi_block_mask* mask, int64_t b, int64_t h,
                                uint8_t* kinds) {
  return guarded([&] {
    const int64_t rows = mask->value.rows();
    const int64_t columns = mask->value.columns();
    std::fill(kinds, kinds + rows * columns, uint8_t{0});
    for (int64_t row = 0; row < rows; ++row) {
      mark(mask->value.partial(b, h, row), 1, kinds + row * columns);
      mark(mask->value.full(b, h, row), 2, kinds + row * columns);
    }
  });
}

void fovea_capi_block_mask_free(fovea_capi_block_mask* mask) { delete mask; }

int fovea_capi_block_mask_lists(const fovea_capi_block_mask* mask,
                                const fovea_capi_padded_lists* lists) {
  return guarded([&] {
    const fovea::PaddedLists from = mask->value.padded_lists();
    copy(from.kv_num_blocks, lists->kv_num_blocks);
    copy(from.kv_indices, lists->kv_indices);
    copy(from.full_kv_num_blocks, lists->full_kv_num_blocks);
    copy(from.full_kv_indices, lists->full_kv_indices);
    copy(from.q_num_blocks, lists->q_num_blocks);
    copy(from.q_indices, lists->q_indices);
    copy(from.full_q_num_blocks, lists->full_q_num_blocks);
    copy(from.full_q_indices, lists->full_q_indices);
  });
}

int fovea_capi_block_mask_from_kv_blocks(const fovea_capi_kv_blocks* blocks,
                                         const fovea_capi_program* mask_mod,
                                         fovea_capi_block_mask** mask) {
  return guarded([&] {
    fovea::KvBlocksOptions options;
    options.block_size = {blocks->block_q, blocks->block_kv};
    if (mask_mod) options.mask_mod = mask_mod->value;
    options.q_len = to_optional(blocks->q_len);
    options.kv_len = to_optional(blocks->kv_len);
    *mask = new fovea_capi_block_mask{fovea::BlockMask::from_kv_blocks(
        {.kv_num_blocks = to_optional_view(blocks->kv_num_blocks),
         .kv_indices = to_optional_view(blocks->kv_indices),
         .full_kv_num_blocks = to_optional_view(blocks->full_kv_num_blocks),
         .full_kv_indices = to_optional_view(blocks->full_kv_indices)},
        options)};
  });
}

int fovea_capi_block_mask_index(const fovea_capi_block_mask* mask,
                                const fovea_capi_block_index* batch_heads_rows,
                                fovea_capi_block_mask** result) {
  return guarded([&] {
    *result = new fovea_capi_block_mask{mask->value.index(to_index(batch_heads_rows[0]),
                                                          to_index(batch_heads_rows[1]),
                                                          to_index(batch_heads_rows[2]))};
  });
}

int fovea_capi_block_mask_combine(int32_t operation, const fovea_capi_block_mask* a,
                                  const fovea_capi_block_mask* b, fovea_capi_block_mask** result) {
  return guarded([&] { *result = new fovea_capi_block_mask{combine(operation, a->value, b)}; });
}

int fovea_capi_block_mask_change(int32_t operation, const fovea_capi_block_mask* mask, int64_t x,
                                 int64_t y, fovea_capi_block_mask** result) {
  return guarded(
      [&] { *result = new fovea_capi_block_mask{change(operation, mask->value, x, y)}; });
}

int fovea_capi_block_mask_text(const fovea_capi_block_mask* mask, char* buffer, size_t capacity,
                               size_t* needed) {
  return guarded([&] {
    copy_text(mask->value.summary() + '\n' + mask->value.to_string(), buffer, capacity, needed);
  });
}

int fovea_capi_create_mask(const fovea_capi_program* mod,
                           const fovea_capi_block_mask_options* options, uint8_t* allowed) {
  return guarded([&] {
    const std::vector<uint8_t> mask = fovea::create_mask(mod->value, {.q_len = options->q_len,
                                                                      .kv_len = options->kv_len,
                                                                      .batch = options->batch,
                                                                      .heads = options->heads});
    std::copy(mask.begin(), mask.end(), allowed);
  });
}

}  // extern "C"
