// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fovea/export.h>
#include <fovea/program.h>
#include <fovea/tensor.h>

/// Dropout inside attention.
namespace fovea {

/// A weight_mod that makes a weight 0 with probability p and else divides it by 1 - p. What becomes of a
/// weight depends on (seed, offset, b, h, q, kv) alone: forward and backward, every backend, any tiling
/// and any number of threads drop the same. Give each call of a training run another offset.
///   p             0 to 1; not part of the structure: another p compiles nothing
///   seed, offset  i64, one element each; read whenever the program runs, so that the memory must
///                 outlive it
/// InvalidArgument for a p outside, and for a seed or offset that is no i64, has no memory or not one
/// element. Besides a weight_mod of your own: compose(dropout(...), mine).
/// Random numbers: Philox2x32-10 (<fovea/random.h>). Dropout: Srivastava et al., 2014.
FOVEA_API Program dropout(double p, const TensorView& seed, const TensorView& offset);

}  // namespace fovea
