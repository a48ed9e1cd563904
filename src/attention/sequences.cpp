// SPDX-License-Identifier: Apache-2.0
#include "attention/sequences.h"

#include <algorithm>
#include <string>

#include "attention/checker.h"

namespace fovea::attention {
namespace {

// A tensor of lengths or pages, which the call itself reads.
class Numbers {
 public:
  Numbers(const char* where, const char* name, const TensorView& view, const Dims& sizes,
          const char* shape)
      : check_(where), name_(name), view_(view) {
    check_.memory(name, view);
    if (view.dtype != DType::i32 && view.dtype != DType::i64) {
      fail(" must be i32 or i64", "i32 or i64", fovea::name_of(view.dtype));
    }
    if (view.device.type != DeviceType::cpu) fail(" must be in the CPU's memory", "cpu", "cuda");
    if (view.sizes != sizes) {
      fail(std::string(" must have the shape ") + shape, to_string(sizes), to_string(view.sizes));
    }
  }

  int64_t at(int64_t i) const { return element(i * view_.stride(0)); }
  int64_t at(int64_t i, int64_t j) const {
    return element(i * view_.stride(0) + j * view_.stride(1));
  }

  template <class Expected, class Got>
  [[noreturn]] void fail(const std::string& rule, const Expected& expected, const Got& got) const {
    check_.fail(std::string(name_) + rule, expected, got);
  }

 private:
  int64_t element(int64_t at) const {
    if (view_.dtype == DType::i64) return static_cast<const int64_t*>(view_.data)[at];
    return static_cast<const int32_t*>(view_.data)[at];
  }

  const Checker check_;
  const char* name_;
  const TensorView& view_;
};

std::string up_to(int64_t last) { return "0 to " + std::to_string(last); }
std::string entry(int64_t i) { return " at entry " + std::to_string(i); }

int64_t saturating_product(int64_t a, int64_t b) {
  int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

// One entry serves every sequence.
void broadcast_batch(TensorView& view, int64_t batch) {
  view.sizes[0] = batch;
  view.strides[0] = 0;
}

class Sequences {
 public:
  Sequences(Problem& problem, const FlexOptions& options)
      : p_(problem), options_(options), check_(problem.where) {}

  void run() {
    check_combination();
    p_.jagged = options_.cu_seqlens_q.has_value();
    if (p_.jagged) p_.batch = count_sequences(*options_.cu_seqlens_q);
    p_.sequences.assign(static_cast<std::size_t>(p_.batch),
                        {.q_first = 0, .q_len = p_.q_len, .kv_first = 0, .kv_len = p_.kv_len});
    if (options_.cu_seqlens_q) read_queries(*options_.cu_seqlens_q);
    if (options_.cu_seqlens_kv) read_keys(*options_.cu_seqlens_kv);
    if (options_.page_table) set_capacity(*options_.page_table);
    if (options_.kv_lens) read_kv_lens(*options_.kv_lens);
    if (options_.page_table) read_pages(*options_.page_table);
    p_.q_len = p_.kv_len = 0;
    for (const Sequence& s : p_.sequences) {
      p_.q_len = std::max(p_.q_len, s.q_len);
      p_.kv_len = std::max(p_.kv_len, s.kv_len);
    }
  }

 private:
  // Pages have no ends behind each other, so their lengths are kv_lens.
  void check_combination() const {
    const bool q = options_.cu_seqlens_q.has_value(), kv = options_.cu_seqlens_kv.has_value();
    if (options_.page_table) {
      if (kv) {
        check_.fail("cu_seqlens_kv must not be given with page_table", "kv_lens", "cu_seqlens_kv");
      }
    } else if (q != kv) {
      check_.fail("cu_seqlens_q and cu_seqlens_kv must be given together",
                  "both, none, or cu_seqlens_q and page_table",
                  q ? "cu_seqlens_q alone" : "cu_seqlens_kv alone");
    }
  }

  // Entries but one. What is no vector has none: the shape is refused later.
  static int64_t count_sequences(const TensorView& ends) {
    return ends.rank() == 1 ? std::max<int64_t>(0, ends.size(0) - 1) : 0;
  }

  // Calls set(sequence, first, length) for each.
  template <class Set>
  void read_ends(const char* name, const TensorView& view, int64_t total, Set&& set) {
    const Numbers ends(p_.where, name, view, {p_.batch + 1}, "(sequences + 1)");
    int64_t first = ends.at(0);
    if (first != 0) ends.fail(" must begin with 0", 0, first);
    for (int64_t b = 0; b < p_.batch; ++b) {
      const int64_t end = ends.at(b + 1);
      if (end < first) {
        ends.fail(" must ascend", "at least " + std::to_string(first) + entry(b + 1), end);
      }
      set(p_.sequences[static_cast<std::size_t>(b)], first, end - first);
      first = end;
    }
    if (first != total) ends.fail(" must end with the length of its tensor", total, first);
  }

  void read_queries(const TensorView& ends) {
    check_.equal("query batch must be 1 with cu_seqlens_q", 1, p_.query.size(0));
    read_ends("cu_seqlens_q", ends, p_.q_len, [](Sequence& s, int64_t first, int64_t length) {
      s.q_first = first;
      s.q_len = length;
    });
    broadcast_batch(p_.query, p_.batch);
    broadcast_batch(p_.out, p_.batch);
    if (p_.lse) broadcast_batch(*p_.lse, p_.batch);
    if (p_.max_scores) broadcast_batch(*p_.max_scores, p_.batch);
  }

  void read_keys(const TensorView& ends) {
    check_.equal("key batch must be 1 with cu_seqlens_kv", 1, p_.key.size(0));
    read_ends("cu_seqlens_kv", ends, p_.kv_len, [](Sequence& s, int64_t first, int64_t length) {
      s.kv_first = first;
      s.kv_len = length;
    });
    broadcast_batch(p_.key, p_.batch);
    broadcast_batch(p_.value, p_.batch);
  }

  void read_kv_lens(const TensorView& view) {
    const Numbers lengths(p_.where, "kv_lens", view, {p_.batch}, "(batch)");
    for (int64_t b = 0; b < p_.batch; ++b) {
      Sequence& s = p_.sequences[static_cast<std::size_t>(b)];
      const int64_t length = lengths.at(b);
      if (length < 0 || length > s.kv_len) {
        lengths.fail(" must not exceed the keys that there are", up_to(s.kv_len) + entry(b),
                     length);
      }
      s.kv_len = length;
    }
  }

  Numbers pages_of(const TensorView& table) const {
    const int64_t width = table.rank() == 2 ? std::max<int64_t>(0, table.size(1)) : 0;
    return {p_.where, "page_table", table, {p_.batch, width}, "(batch, pages of a sequence)"};
  }

  void set_capacity(const TensorView& table) {
    pages_of(table);
    p_.page_table = table;
    p_.page_size = p_.kv_len;
    const int64_t capacity = saturating_product(table.size(1), p_.page_size);
    for (Sequence& s : p_.sequences) s.kv_len = capacity;
  }

  // Of each sequence the pages that hold its keys; the rest may be anything.
  void read_pages(const TensorView& table) {
    const Numbers pages = pages_of(table);
    const int64_t count = p_.key.size(0);
    for (int64_t b = 0; b < p_.batch; ++b) {
      const int64_t length = p_.sequences[static_cast<std::size_t>(b)].kv_len;
      const int64_t used = length == 0 ? 0 : (length - 1) / p_.page_size + 1;
      for (int64_t i = 0; i < used; ++i) {
        const int64_t page = pages.at(b, i);
        if (page >= 0 && page < count) continue;
        pages.fail(" must name pages of the key", up_to(count - 1) + " at " + to_string(Dims{b, i}),
                   page);
      }
    }
  }

  Problem& p_;
  const FlexOptions& options_;
  const Checker check_;
};

}  // namespace

void check_sequences(Problem& problem, const FlexOptions& options) {
  if (!has_own_key_batch(options) && !options.kv_lens) return;
  Sequences(problem, options).run();
}

}  // namespace fovea::attention
