// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "variant.h"

namespace fovea::gallery {

namespace {

constexpr int64_t kBuckets = 32;  // sixteen for each direction
constexpr int64_t kFar = 128;

// The bucket of a distance. The first eight have one each; from there on bucket 8 + j begins where
// (distance / 8)^8 >= 16^j, which integers decide exactly where a logarithm may be off by one.
int32_t bucket_of(int64_t distance) {
  if (distance < 8) return static_cast<int32_t>(distance);
  if (distance >= kFar) return kBuckets / 2 - 1;
  uint64_t power = 1;
  for (int i = 0; i < 8; ++i) power *= static_cast<uint64_t>(distance);  // below 2^56
  int32_t bucket = 8;
  for (uint64_t limit = uint64_t{1} << 28; bucket < 15 && power >= limit; limit <<= 4) ++bucket;
  return bucket;
}

// The same by the float32 formula that models were trained with.
int32_t bucket_by_logarithm(int64_t distance) {
  if (distance < 8) return static_cast<int32_t>(distance);
  const float octaves = std::log(static_cast<float>(distance) / 8.0F) / std::log(16.0F);
  return std::min(15, 8 + static_cast<int32_t>(octaves * 8.0F));
}

template <class F>
std::vector<int32_t> buckets_by(F&& bucket) {
  std::vector<int32_t> buckets;
  for (int64_t d = -kFar; d <= kFar; ++d) {
    buckets.push_back(bucket(std::abs(d)) + (d > 0 ? static_cast<int32_t>(kBuckets / 2) : 0));
  }
  return buckets;
}

}  // namespace

void t5_bias(VariantMaker& make) {
  const int64_t heads = make.heads();
  const auto& weights = make.normal(5, kBuckets * heads);
  make.describe("A learned bias for each head and each of 32 buckets of relative position.",
                "score + bias[bucket(kv - q)][h]", "Raffel et al., 2020 (T5)");
  const Capture bucket = table(make.keep(buckets_by(bucket_of)));
  const Capture bias = table(weights, {kBuckets, heads});
  make.score([=](auto score, auto, auto h, auto q,
                 auto kv) { return score + bias[bucket[clamp(kv - q, -kFar, kFar) + kFar]][h]; },
             [&weights, heads, buckets = buckets_by(bucket_by_logarithm)](
                 float score, const Row& row, int64_t kv) {
               const int64_t distance = std::clamp(kv - row.q, -kFar, kFar);
               return score + at(weights, at(buckets, distance + kFar) * heads + row.h);
             });
}

}  // namespace fovea::gallery
