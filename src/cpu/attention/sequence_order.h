// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "attention/problem.h"

/// In which order the heads of a batch of sequences are computed, and in which portions. No result depends on
/// it, so it may depend on the number of threads.
namespace fovea::cpu {

/// A head here is one of batch * kv heads. Those that are long are worked on by all threads together, one
/// wave after another; then the others, each by the thread that packs it. Both most costly first.
class SequenceOrder {
 public:
  /// `most_private_keys`: longer heads are shared, because each thread would need memory of its own.
  SequenceOrder(const attention::Problem& problem, int threads, int64_t most_private_keys);

  int64_t shared_heads() const { return shared_ * problem_.kv_heads; }
  int64_t shared_queries() const { return shared_queries_; }  // longest lengths of shared heads
  int64_t shared_keys() const { return shared_keys_; }
  int64_t private_keys() const { return private_keys_; }  // of private heads

  /// sort() fills memory of so many bytes; what follows needs it.
  std::size_t bytes() const;
  void sort(void* memory);

  int64_t head(int64_t rank) const {
    const int64_t entry = ranked_[rank / problem_.kv_heads];
    return entry * problem_.kv_heads + rank % problem_.kv_heads;
  }

  /// Portions of private heads, large enough to be worth handing out: ranks [begin(i), begin(i + 1)). Some
  /// may be empty.
  int64_t portions() const { return portions_; }
  int64_t begin(int64_t portion) const;

 private:
  double cost(const attention::Sequence& sequence) const;
  bool is_shared(const attention::Sequence& sequence) const;
  int64_t portion_at(double cost_before) const;

  const attention::Problem& problem_;
  const int64_t most_private_keys_;
  double shared_cost_ = 0;  // heads above it are shared
  double portion_cost_ = 1;
  int64_t shared_ = 0;  // batch entries
  int64_t shared_queries_ = 0, shared_keys_ = 0, private_keys_ = 0;
  int64_t portions_ = 0;
  int64_t* ranked_ = nullptr;  // batch entries by rank
  double* before_ = nullptr;   // by rank: the costs of the private entries before it
};

}  // namespace fovea::cpu
