// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attention/problem.h"

/// Jagged batches, lengths of keys and page tables: from tensors of numbers to Problem::sequences.
namespace fovea::attention {

/// Checks cu_seqlens_q, cu_seqlens_kv, kv_lens and page_table, and rewrites a problem whose batch, q_len and
/// kv_len are still the tensors' own: afterwards they are the number of sequences and the longest
/// lengths. Without any of these options nothing changes.
void check_sequences(Problem& problem, const FlexOptions& options);

/// Whether keys need not be as many batch entries as queries.
inline bool has_own_key_batch(const FlexOptions& options) {
  return options.cu_seqlens_q || options.cu_seqlens_kv || options.page_table;
}

}  // namespace fovea::attention
