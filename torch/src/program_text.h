// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>

#include <fovea/program.h>

/// Programs as operators carry them: text, captured tensors, and the values of the parameters.
namespace fovea::torch {

/// What one mod is made of. In the text, tensors are declared as t0, t1, ..., integers as n0, n1, ... and
/// floats as x0, x1, ..., in the order of these lists.
struct ModArguments {
  const std::string& text;  // empty: no mod
  at::TensorList captures;
  at::IntArrayRef integers;
  at::ArrayRef<double> floats;
};

/// A program with its values, and where its captured tensors stand in the caller's list.
struct BoundProgram {
  Program program;
  std::vector<int64_t> sources;  // by slot of the program: index into ModArguments::captures
};

/// Texts are parsed once and kept: the same text with other values costs a look-up. The tensors must
/// outlive the program. InvalidArgument if the text does not parse or does not fit the lists.
BoundProgram bind_program(const char* where, ModKind kind, const ModArguments& mod);

}  // namespace fovea::torch
