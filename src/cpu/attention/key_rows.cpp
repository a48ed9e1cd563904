// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/key_rows.h"

namespace fovea::cpu {
namespace {

// A tensor without elements may be at null, from where there is no way to anywhere.
const void* at(const TensorView& tensor, int64_t elements) {
  if (tensor.data == nullptr) return nullptr;
  return static_cast<const char*>(tensor.data) +
         elements * static_cast<int64_t>(size_of(tensor.dtype));
}

}  // namespace

HeadRows rows_of_head(const attention::Problem& problem, const TensorView& tensor, int64_t head) {
  const int64_t b = head / problem.kv_heads, h = head % problem.kv_heads;
  const int64_t first = problem.sequence(b).kv_first * tensor.stride(2);
  HeadRows rows;
  rows.dtype = tensor.dtype;
  rows.row = tensor.stride(2);
  const int64_t batch = problem.page_table ? 0 : b * tensor.stride(0);
  rows.from = at(tensor, batch + h * tensor.stride(1) + first);
  if (!problem.page_table) return rows;
  const TensorView& table = *problem.page_table;
  rows.pages = {.data = at(table, b * table.stride(0)),
                .wide = table.dtype == DType::i64,
                .stride = table.stride(1),
                .size = problem.page_size,
                .page = tensor.stride(0)};
  return rows;
}

}  // namespace fovea::cpu
