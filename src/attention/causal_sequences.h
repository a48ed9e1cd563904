// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "attention/problem.h"

/// Causal masks from the end, in a batch whose sequences end at different places.
namespace fovea::attention {

/// Of each sequence its last key minus its last query: a query q sees the keys kv <= q + offset.
std::vector<int64_t> causal_offsets(const Problem& problem);

/// A mask of one plane a sequence, of these lengths: all sequences fit. Beyond a sequence's end no block is
/// listed. It owns the offsets.
BlockMask causal_of_sequences(const Problem& problem, int64_t q_len, int64_t kv_len,
                              BlockSize size);

}  // namespace fovea::attention
