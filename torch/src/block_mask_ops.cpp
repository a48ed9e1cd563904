// SPDX-License-Identifier: Apache-2.0
#include "block_mask_ops.h"

#include <algorithm>

#include <ATen/ops/empty.h>

#include <fovea/torch_tensor.h>
#include "errors.h"
#include "mask_registry.h"
#include "program_text.h"

namespace fovea::torch {
namespace {

struct BoundMask {
  Program program;
  std::vector<at::Tensor> captures;
};

BoundMask bind_mask(const char* where, FOVEA_MOD_PARAMETERS) {
  const BoundProgram bound = bind_program(
      where, ModKind::mask, {mask_mod, captures, C10_AS_INTARRAYREF_SLOW(integers), floats});
  return {bound.program, captures.vec()};
}

at::Tensor tensor_of(const std::vector<int32_t>& values, at::IntArrayRef sizes) {
  at::Tensor tensor = at::empty(sizes, at::kInt);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<int32_t>());
  return tensor;
}

BlockIndex index_of(at::OptionalIntArrayRef indices) {
  return indices.has_value() ? BlockIndex::list(indices->vec()) : BlockIndex::all();
}

}  // namespace

at::Tensor create_block_mask_op(FOVEA_MOD_PARAMETERS, c10::SymInt batch, c10::SymInt heads,
                                c10::SymInt q_len, c10::SymInt kv_len, c10::SymInt block_q,
                                c10::SymInt block_kv) {
  constexpr const char* kWhere = "create_block_mask";
  const auto number = [](const c10::SymInt& x) { return x.guard_int(__FILE__, __LINE__); };
  return translated([&] {
    BoundMask bound = bind_mask(kWhere, mask_mod, captures, integers, floats);
    const BlockMaskOptions options{.q_len = number(q_len),
                                   .kv_len = number(kv_len),
                                   .batch = number(batch),
                                   .heads = number(heads),
                                   .block_size = {number(block_q), number(block_kv)}};
    return keep_mask({create_block_mask(bound.program, options), std::move(bound.captures)});
  });
}

at::Tensor block_mask_from_kv_blocks(const at::Tensor& kv_num_blocks, const at::Tensor& kv_indices,
                                     const std::optional<at::Tensor>& full_kv_num_blocks,
                                     const std::optional<at::Tensor>& full_kv_indices,
                                     FOVEA_MOD_PARAMETERS, int64_t q_len, int64_t kv_len,
                                     int64_t block_q, int64_t block_kv) {
  constexpr const char* kWhere = "from_kv_blocks";
  return translated([&] {
    BoundMask bound = bind_mask(kWhere, mask_mod, captures, integers, floats);
    KvBlocks blocks{.kv_num_blocks = view_of(kv_num_blocks), .kv_indices = view_of(kv_indices)};
    if (full_kv_num_blocks.has_value()) blocks.full_kv_num_blocks = view_of(*full_kv_num_blocks);
    if (full_kv_indices.has_value()) blocks.full_kv_indices = view_of(*full_kv_indices);
    const KvBlocksOptions options{.block_size = {block_q, block_kv},
                                  .mask_mod = bound.program,
                                  .q_len = q_len,
                                  .kv_len = kv_len};
    return keep_mask({BlockMask::from_kv_blocks(blocks, options), std::move(bound.captures)});
  });
}

std::vector<int64_t> block_mask_info(const at::Tensor& mask) {
  return translated([&]() -> std::vector<int64_t> {
    const auto kept = mask_of("block_mask", mask);
    const BlockMask& m = kept->mask;
    const BlockCounts counts = m.counts();
    return {m.batch(),        m.heads(),         m.q_len(),       m.kv_len(),
            m.block_size().q, m.block_size().kv, counts.full,     counts.partial,
            counts.skipped,   m.memory_bytes(),  m.lists_decide()};
  });
}

std::vector<at::Tensor> block_mask_lists(const at::Tensor& mask) {
  return translated([&]() -> std::vector<at::Tensor> {
    const PaddedLists lists = mask_of("block_mask", mask)->mask.padded_lists();
    const std::vector<int64_t> by_row{lists.batch, lists.heads, lists.rows, lists.columns};
    const std::vector<int64_t> columns{lists.batch, lists.heads, lists.columns};
    const std::vector<int64_t> by_column{lists.batch, lists.heads, lists.columns, lists.rows};
    const std::vector<int64_t> row_sizes{lists.batch, lists.heads, lists.rows};
    return {
        tensor_of(lists.kv_num_blocks, row_sizes),      tensor_of(lists.kv_indices, by_row),
        tensor_of(lists.full_kv_num_blocks, row_sizes), tensor_of(lists.full_kv_indices, by_row),
        tensor_of(lists.q_num_blocks, columns),         tensor_of(lists.q_indices, by_column),
        tensor_of(lists.full_q_num_blocks, columns),    tensor_of(lists.full_q_indices, by_column)};
  });
}

at::Tensor create_mask_op(FOVEA_MOD_PARAMETERS, int64_t batch, int64_t heads, int64_t q_len,
                          int64_t kv_len) {
  return translated([&] {
    const BoundMask bound = bind_mask("create_mask", mask_mod, captures, integers, floats);
    const std::vector<uint8_t> mask = create_mask(
        bound.program, {.q_len = q_len, .kv_len = kv_len, .batch = batch, .heads = heads});
    at::Tensor tensor = at::empty({batch, heads, q_len, kv_len}, at::kBool);
    std::copy(mask.begin(), mask.end(), static_cast<uint8_t*>(tensor.mutable_data_ptr()));
    return tensor;
  });
}

std::string block_mask_to_string(const at::Tensor& mask, int64_t b, int64_t h, int64_t rows,
                                 int64_t columns) {
  return translated(
      [&] { return mask_of("block_mask", mask)->mask.to_string(b, h, rows, columns); });
}

at::Tensor block_mask_index(const at::Tensor& mask, at::OptionalIntArrayRef batch,
                            at::OptionalIntArrayRef heads, at::OptionalIntArrayRef rows) {
  return translated([&] {
    const auto kept = mask_of("BlockMask.index", mask);
    return keep_mask(
        {kept->mask.index(index_of(batch), index_of(heads), index_of(rows)), kept->captures});
  });
}

at::Tensor block_mask_adjusted(const at::Tensor& mask, int64_t q_len, int64_t kv_len) {
  return translated([&] {
    const auto kept = mask_of("BlockMask.adjusted", mask);
    return keep_mask({kept->mask.adjusted(q_len, kv_len), kept->captures});
  });
}

at::Tensor block_mask_with_mask_mod(const at::Tensor& mask, FOVEA_MOD_PARAMETERS) {
  return translated([&] {
    const auto kept = mask_of("BlockMask.with_mask_mod", mask);
    BoundMask bound = bind_mask("BlockMask.with_mask_mod", mask_mod, captures, integers, floats);
    return keep_mask({kept->mask.with_mask_mod(bound.program), std::move(bound.captures)});
  });
}

}  // namespace fovea::torch
