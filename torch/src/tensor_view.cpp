// SPDX-License-Identifier: Apache-2.0
#include <span>
#include <string>

#include <c10/core/ScalarType.h>

#include <fovea/error.h>
#include <fovea/torch_tensor.h>

namespace fovea::torch {
namespace {

DType dtype_of(c10::ScalarType type) {
  switch (type) {
    case c10::kDouble: return DType::f64;
    case c10::kFloat: return DType::f32;
    case c10::kBFloat16: return DType::bf16;
    case c10::kHalf: return DType::f16;
    case c10::kLong: return DType::i64;
    case c10::kInt: return DType::i32;
    case c10::kShort: return DType::i16;
    case c10::kChar: return DType::i8;
    case c10::kByte: return DType::u8;
    case c10::kBool: return DType::boolean;
    default: break;
  }
  throw InvalidArgument(std::string("[tensor] dtype: expected float64, float32, bfloat16, float16, "
                                    "int64, int32, int16, int8, uint8 or bool, got ") +
                        c10::toString(type));
}

}  // namespace

TensorView view_of(const at::Tensor& tensor) {
  if (tensor.layout() != c10::kStrided) {
    throw InvalidArgument("[tensor] layout: expected strided, got " +
                          std::string(c10::str(tensor.layout())));
  }
  TensorView view;
  view.data = const_cast<void*>(tensor.const_data_ptr());
  view.dtype = dtype_of(tensor.scalar_type());
  const auto sizes = tensor.sizes(), strides = tensor.strides();
  view.sizes = Dims(std::span(sizes.data(), sizes.size()));
  view.strides = Dims(std::span(strides.data(), strides.size()));
  view.device.type = tensor.is_cpu() ? DeviceType::cpu : DeviceType::cuda;
  view.device.index = tensor.is_cpu() ? 0 : tensor.get_device();
  return view;
}

}  // namespace fovea::torch
