// SPDX-License-Identifier: Apache-2.0
#include "attention/index_ranges.h"

#include <algorithm>
#include <array>

#include "analysis/bounds.h"
#include "attention/blame.h"

namespace fovea::attention {
namespace {

using analysis::Box;

bool equal(const Literal& a, const Literal& b) {
  return a.type == b.type && a.i == b.i && a.f == b.f;
}

// The programs that a thread runs in turn: a layer's score_mod and mask_mod, a few kinds of layers.
class Remembered {
 public:
  struct Entry {
    Program program;
    Box whole;
    bool needs_64_bits = false;
  };

  const Entry* find(const Program& program, const Box& whole) const {
    for (const Entry& entry : entries_) {
      if (entry.program.shared_graph() == program.shared_graph() && entry.whole == whole &&
          same_values(entry.program, program)) {
        return &entry;
      }
    }
    return nullptr;
  }
  void insert(const Program& program, const Box& whole, bool needs_64_bits) {
    entries_[next_] = {program, whole, needs_64_bits};
    next_ = (next_ + 1) % entries_.size();
  }

 private:
  static bool same_values(const Program& a, const Program& b) {
    return std::ranges::equal(a.params(), b.params(), equal) &&
           std::ranges::equal(a.captures(), b.captures(), {}, &TensorView::sizes,
                              &TensorView::sizes);
  }

  std::array<Entry, 8> entries_;
  std::size_t next_ = 0;
};

bool needs_64_bits(const Program& program, const Box& whole, const char* where, const char* mod) {
  thread_local Remembered remembered;
  if (const auto* known = remembered.find(program, whole)) return known->needs_64_bits;
  const auto check =
      blame(where, mod, [&] { return analysis::check_ranges(program, whole, where); });
  if (!check.reads_captures) remembered.insert(program, whole, check.needs_64_bits);
  return check.needs_64_bits;
}

}  // namespace

void check_index_ranges(Problem& p) {
  if (p.batch == 0 || p.q_heads == 0 || p.q_len == 0 || p.kv_len == 0) return;
  const Box whole{.b0 = 0,
                  .b1 = p.batch - 1,
                  .h0 = 0,
                  .h1 = p.q_heads - 1,
                  .q0 = 0,
                  .q1 = p.q_len - 1,
                  .kv0 = 0,
                  .kv1 = p.kv_len - 1};
  if (p.score_mod) p.needs_64_bits |= needs_64_bits(p.score_mod, whole, p.where, "score_mod");
  if (p.weight_mod) p.needs_64_bits |= needs_64_bits(p.weight_mod, whole, p.where, "weight_mod");
  if (p.mask_mod) p.needs_64_bits |= needs_64_bits(p.mask_mod, whole, p.where, "mask_mod");
}

}  // namespace fovea::attention
