// SPDX-License-Identifier: Apache-2.0
#include "attention/causal.h"

#include <list>
#include <memory>
#include <mutex>

#include <fovea/error.h>
#include "core/fail.h"

namespace fovea::attention {
namespace {

/// What a mask of the option depends on. Queries see keys kv <= q + offset.
struct Key {
  int64_t q_len = 0, kv_len = 0, offset = 0;
  const BlockMask::Data* other = nullptr;  // the mask that it is intersected with
  friend bool operator==(const Key&, const Key&) = default;
};

/// The least recently used mask leaves when there are too many.
class KeptMasks {
 public:
  BlockMask find(const Key& key) {
    const std::lock_guard lock(mutex_);
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (entry->key != key) continue;
      // Another mask may lie where one was that is gone.
      if (key.other != nullptr && entry->other.expired()) continue;
      entries_.splice(entries_.begin(), entries_, entry);
      return entry->mask;
    }
    return {};
  }

  void insert(const Key& key, const BlockMask& other, const BlockMask& mask) {
    const std::lock_guard lock(mutex_);
    entries_.push_front({key, other.shared_data(), mask});
    if (entries_.size() > kMost) entries_.pop_back();
  }

  std::size_t size() {
    const std::lock_guard lock(mutex_);
    return entries_.size();
  }

 private:
  static constexpr std::size_t kMost = 16;
  struct Entry {
    Key key;
    std::weak_ptr<const BlockMask::Data> other;
    BlockMask mask;
  };
  std::mutex mutex_;
  std::list<Entry> entries_;  // most recently used first
};

KeptMasks& kept_masks() {
  static KeptMasks masks;
  return masks;
}

Program causal_mod(int64_t offset) {
  return mask_mod([=](Value, Value, Value q, Value kv) -> Value {
    return offset == 0 ? q >= kv : q + offset >= kv;
  });
}

BlockMask make_mask(const Key& key, const BlockMask& other) {
  BlockMaskOptions options{.q_len = key.q_len, .kv_len = key.kv_len};
  if (other) options.block_size = other.block_size();
  const BlockMask causal = create_block_mask(causal_mod(key.offset), options);
  return other ? and_masks(causal, other) : causal;
}

}  // namespace

const char* name_of(Causal causal) noexcept {
  switch (causal) {
    case Causal::none: return "none";
    case Causal::upper_left: return "upper_left";
    case Causal::lower_right: return "lower_right";
  }
  return "?";
}

std::size_t kept_causal_masks() { return kept_masks().size(); }

void apply_causal(Problem& p, Causal causal) {
  p.causal = causal;
  if (causal == Causal::none) return;
  const bool from_the_end = causal == Causal::lower_right;
  if (from_the_end && !p.sequences.empty()) {
    throw Unsupported(std::string("[") + p.where +
                          "] option: causal lower_right of sequences is not supported yet",
                      {"causal lower_right of sequences is not supported yet"});
  }
  if (p.block_mask && p.block_mask.lists_decide()) {
    core::fail_argument(p.where, "causal cannot join a block mask whose lists decide",
                        "a mask of create_block_mask", "one of BlockMask::from_kv_blocks or index");
  }
  Key key{.q_len = p.q_len, .kv_len = p.kv_len, .offset = from_the_end ? p.kv_len - p.q_len : 0};
  if (p.block_mask) {  // sequences may be shorter than their mask
    key.q_len = p.block_mask.q_len();
    key.kv_len = p.block_mask.kv_len();
    key.other = p.block_mask.shared_data().get();
  }
  if (key.offset >= p.kv_len - 1) return;  // the first query sees all keys
  BlockMask mask = kept_masks().find(key);
  if (!mask) {
    mask = make_mask(key, p.block_mask);
    kept_masks().insert(key, p.block_mask, mask);
  }
  p.block_mask = mask;
  p.mask_mod = mask.mask_mod();
}

}  // namespace fovea::attention
