// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/sequence_order.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace fovea::cpu {
namespace {

using attention::Problem;
using attention::Sequence;

// Costs are in multiply-adds: a portion of this many takes 50 us or more on a fast core.
constexpr double kPortion = 4e6;
// Portions a thread, so that the last ones end together.
constexpr double kPortions = 64;
// A head above 1 / (16 * threads) of all work would keep its thread busy while others wait.
constexpr double kHeads = 16;
// In queries: what packing a key costs. In scores: what a head's tile costs before its first.
constexpr double kPackQueries = 16, kTileScores = 256;

}  // namespace

SequenceOrder::SequenceOrder(const Problem& problem, int threads, int64_t most_private_keys)
    : problem_(problem), most_private_keys_(most_private_keys) {
  double total = 0;
  for (const Sequence& s : problem.sequences) total += cost(s);
  total *= static_cast<double>(problem.kv_heads);
  shared_cost_ = threads == 1 ? std::numeric_limits<double>::infinity()
                              : std::max(2 * kPortion, total / (kHeads * threads));
  double private_cost = 0;
  for (const Sequence& s : problem.sequences) {
    if (is_shared(s)) {
      ++shared_;
      shared_queries_ = std::max(shared_queries_, s.q_len);
      shared_keys_ = std::max(shared_keys_, s.kv_len);
    } else {
      private_keys_ = std::max(private_keys_, s.kv_len);
      private_cost += cost(s) * static_cast<double>(problem.kv_heads);
    }
  }
  portion_cost_ = std::max(kPortion, private_cost / (kPortions * threads));
  portions_ = private_cost > 0 ? portion_at(private_cost) + 1 : 0;
}

double SequenceOrder::cost(const Sequence& s) const {
  if (s.q_len == 0) return 0;
  const auto queries = static_cast<double>(s.q_len), keys = static_cast<double>(s.kv_len);
  const double scores =
      static_cast<double>(problem_.group()) * (queries * keys + kTileScores) + kPackQueries * keys;
  return scores * static_cast<double>(problem_.head_dim + problem_.value_dim);
}

bool SequenceOrder::is_shared(const Sequence& s) const {
  return s.q_len > 0 && (cost(s) > shared_cost_ || s.kv_len > most_private_keys_);
}

int64_t SequenceOrder::portion_at(double cost_before) const {
  return static_cast<int64_t>(cost_before / portion_cost_);
}

std::size_t SequenceOrder::bytes() const {
  return problem_.sequences.size() * (sizeof(*ranked_) + sizeof(*before_));
}

void SequenceOrder::sort(void* memory) {
  const auto count = static_cast<std::ptrdiff_t>(problem_.sequences.size());
  ranked_ = static_cast<int64_t*>(memory);
  before_ = reinterpret_cast<double*>(ranked_ + count);
  std::iota(ranked_, ranked_ + count, 0);
  std::sort(ranked_, ranked_ + count, [this](int64_t a, int64_t b) {
    const Sequence first = problem_.sequence(a), second = problem_.sequence(b);
    const bool shared = is_shared(first);
    if (shared != is_shared(second)) return shared;
    const double difference = cost(first) - cost(second);
    return difference != 0 ? difference > 0 : a < b;
  });
  double before = 0;
  for (int64_t i = 0; i < count; ++i) {
    before_[i] = before;
    if (i >= shared_) {
      before += cost(problem_.sequence(ranked_[i])) * static_cast<double>(problem_.kv_heads);
    }
  }
}

int64_t SequenceOrder::begin(int64_t portion) const {
  // The first entry that begins in this portion or later; the one before may have heads there.
  const auto count = static_cast<int64_t>(problem_.sequences.size());
  if (portion >= portions_) return count * problem_.kv_heads;
  const double* entry =
      std::partition_point(before_ + shared_, before_ + count,
                           [&](double before) { return portion_at(before) < portion; });
  int64_t rank = (entry - before_) * problem_.kv_heads;
  if (entry == before_ + shared_) return rank;
  const double before = entry[-1], each = cost(problem_.sequence(ranked_[entry - before_ - 1]));
  for (int64_t h = 1; h < problem_.kv_heads; ++h) {
    if (portion_at(before + static_cast<double>(h) * each) < portion) continue;
    return rank - problem_.kv_heads + h;
  }
  return rank;
}

}  // namespace fovea::cpu
