// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <fovea/attention.h>

/// One attention call, checked: what every backend receives.
namespace fovea::attention {

/// Rows and keys of one batch entry: [q_first, q_first + q_len) of the query tensor's rows, and so on. A
/// batch that is not jagged begins at 0.
struct Sequence {
  int64_t q_first = 0, q_len = 0, kv_first = 0, kv_len = 0;
};

struct Problem {
  TensorView query, key, value, out;
  std::optional<TensorView> lse, max_scores, sinks;
  Program score_mod;             // empty if none; simplified by the time a backend sees it
  Program weight_mod;            // likewise
  BlockMask block_mask;          // empty if none
  Program mask_mod;              // the block mask's program, simplified likewise
  Causal causal = Causal::none;  // already a part of block_mask
  bool needs_64_bits = false;    // some integer of the programs may leave 32 bits
  /// weight_mod must see the weights divided by their sum, which the end of a row knows. If not, it may be
  /// applied before (analysis::is_homogeneous).
  bool needs_normalized_weights = false;
  double scale = 1;
  int64_t batch = 0, q_heads = 0, kv_heads = 0, q_len = 0, kv_len = 0, head_dim = 0, value_dim = 0;
  /// By batch entry; empty: each is the whole of q_len and kv_len. If not, q_len and kv_len are the longest,
  /// and batch is their number although a jagged tensor's own batch is 1 (its batch stride here is 0).
  std::vector<Sequence> sequences;
  /// They lie behind each other in tensors of batch 1; keys do so unless they are in pages.
  bool jagged = false;
  /// If given, the key's and value's batch is the page, their length the page's. (batch, pages of a sequence),
  /// checked as far as sequences reach: what stands beyond may be anything.
  std::optional<TensorView> page_table;
  int64_t page_size = 0;
  const char* where = "flex_attention";  // the public function, for messages
  Sequence sequence(int64_t b) const {
    if (sequences.empty()) return {0, q_len, 0, kv_len};
    return sequences[static_cast<std::size_t>(b)];
  }
  int64_t group() const { return kv_heads == 0 ? 1 : q_heads / kv_heads; }
};

/// Checks every rule of flex_attention, in the documented order, and fills a Problem. `where` is the
/// name of the public function, for messages.
Problem validate(const char* where, const TensorView& query, const TensorView& key,
                 const TensorView& value, const TensorView& out, const FlexOptions& options);

/// Whether a backend can take a problem; if not, every reason, a sentence each.
struct Support {
  std::vector<std::string> reasons;
  bool ok() const { return reasons.empty(); }
};

}  // namespace fovea::attention
