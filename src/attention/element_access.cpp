// SPDX-License-Identifier: Apache-2.0
#include "attention/element_access.h"

#include <string>

#include <fovea/error.h>
#include "core/fail.h"

namespace fovea::attention {
namespace {

int64_t batch_of(const TensorView& tensor, int64_t b) { return tensor.size(0) == 1 ? 0 : b; }

int64_t page_of(const Problem& p, int64_t b, int64_t kv) {
  const TensorView& table = *p.page_table;
  const int64_t at = b * table.stride(0) + kv / p.page_size * table.stride(1);
  const int64_t page = table.dtype == DType::i64
                           ? static_cast<const int64_t*>(table.data)[at]
                           : static_cast<int64_t>(static_cast<const int32_t*>(table.data)[at]);
  core::require(page >= 0 && page < p.key.size(0), p.where, "page_table must name pages of key",
                "0 to " + std::to_string(p.key.size(0) - 1),
                std::to_string(page) + " at b=" + std::to_string(b) + " kv=" + std::to_string(kv));
  return page;
}

[[noreturn]] void fail_dtype() {
  throw InternalError("[reference] element: expected a floating-point tensor, got another");
}

}  // namespace

int64_t query_row(const Problem& p, const TensorView& tensor, int64_t b, int64_t h, int64_t q) {
  return batch_of(tensor, b) * tensor.stride(0) + h * tensor.stride(1) +
         (p.sequence(b).q_first + q) * tensor.stride(2);
}

int64_t key_row(const Problem& p, const TensorView& tensor, int64_t b, int64_t kv_head,
                int64_t kv) {
  const int64_t head = kv_head * tensor.stride(1);
  if (p.page_table) {
    return page_of(p, b, kv) * tensor.stride(0) + head + kv % p.page_size * tensor.stride(2);
  }
  return batch_of(tensor, b) * tensor.stride(0) + head +
         (p.sequence(b).kv_first + kv) * tensor.stride(2);
}

double load_element(const TensorView& tensor, int64_t at) {
  switch (tensor.dtype) {
    case DType::f64: return static_cast<const double*>(tensor.data)[at];
    case DType::f32: return static_cast<double>(static_cast<const float*>(tensor.data)[at]);
    case DType::bf16:
      return static_cast<double>(static_cast<float>(static_cast<const BFloat16*>(tensor.data)[at]));
    case DType::f16:
      return static_cast<double>(static_cast<float>(static_cast<const Float16*>(tensor.data)[at]));
    case DType::i64:
    case DType::i32:
    case DType::i16:
    case DType::i8:
    case DType::u8:
    case DType::boolean: break;
  }
  fail_dtype();
}

void store_element(const TensorView& tensor, int64_t at, double x) {
  switch (tensor.dtype) {
    case DType::f64: static_cast<double*>(tensor.data)[at] = x; return;
    case DType::f32: static_cast<float*>(tensor.data)[at] = static_cast<float>(x); return;
    case DType::bf16:
      static_cast<BFloat16*>(tensor.data)[at] = BFloat16(static_cast<float>(x));
      return;
    case DType::f16:
      static_cast<Float16*>(tensor.data)[at] = Float16(static_cast<float>(x));
      return;
    case DType::i64:
    case DType::i32:
    case DType::i16:
    case DType::i8:
    case DType::u8:
    case DType::boolean: break;
  }
  fail_dtype();
}

void store_zeros(const TensorView& tensor) {
  for_each_element(tensor, [&](int64_t at, int64_t) { store_element(tensor, at, 0); });
}

}  // namespace fovea::attention
