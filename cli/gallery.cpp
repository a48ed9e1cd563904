// SPDX-License-Identifier: Apache-2.0
#include "gallery.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include <fmt/format.h>

#include <fovea/random.h>
#include "usage_error.h"
#include "variant_maker.h"

namespace fovea::cli {
namespace {

void noop(VariantMaker& make) {
  make.describe("every token sees every token", "score");
  make.plain([](std::span<float>, int64_t, int64_t) {});
}

void causal(VariantMaker& make) {
  make.describe("each token sees itself and all earlier ones", "q >= kv");
  make.mask([](auto, auto, auto q, auto kv) { return q >= kv; });
  make.plain([](std::span<float> scores, int64_t, int64_t q) {
    hide_unless(scores, [=](int64_t kv) { return q >= kv; });
  });
}

void sliding_window(VariantMaker& make) {
  const int64_t window = make.whole("window", make.length() / 8);
  make.describe("causal, and no further back than the window", "q >= kv && q - kv <= window");
  make.mask([=](auto, auto, auto q, auto kv) { return q >= kv && q - kv <= window; });
  make.plain([=](std::span<float> scores, int64_t, int64_t q) {
    hide_unless(scores, [=](int64_t kv) { return q >= kv && q - kv <= window; });
  });
}

void prefix_lm(VariantMaker& make) {
  const int64_t prefix = make.whole("prefix", make.length() / 4);
  make.describe("a prompt that all see in both directions, then causal", "kv < prefix || q >= kv");
  make.mask([=](auto, auto, auto q, auto kv) { return kv < prefix || q >= kv; });
  make.plain([=](std::span<float> scores, int64_t, int64_t q) {
    hide_unless(scores, [=](int64_t kv) { return kv < prefix || q >= kv; });
  });
}

// Twelve documents whose lengths differ by up to a factor of three.
std::vector<int32_t> uneven_documents(int64_t length) {
  constexpr std::size_t kDocuments = 12;
  std::array<double, kDocuments> ends{};
  double total = 0;
  for (std::size_t i = 0; i < kDocuments; ++i) ends[i] = total += 0.5 + Random(12).uniform(i);
  std::vector<int32_t> ids(static_cast<std::size_t>(length));
  int32_t document = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const double position = total * static_cast<double>(i) / static_cast<double>(length);
    while (position >= ends[static_cast<std::size_t>(document)]) ++document;
    ids[i] = document;
  }
  return ids;
}

void document(VariantMaker& make) {
  const auto& given = make.shape().documents;
  const auto& ids = make.keep(given.empty() ? uneven_documents(make.length()) : given);
  make.describe("several documents packed into one sequence, causal in each",
                "document[q] == document[kv] && q >= kv");
  make.mask([documents = capture_vector(ids)](auto, auto, auto q, auto kv) {
    return documents[q] == documents[kv] && q >= kv;
  });
  make.plain([&ids](std::span<float> scores, int64_t, int64_t q) {
    const int32_t own = ids[static_cast<std::size_t>(q)];
    hide_unless(scores,
                [&](int64_t kv) { return ids[static_cast<std::size_t>(kv)] == own && q >= kv; });
  });
}

// Press et al., "Train short, test long", 2022: geometric slopes.
void alibi(VariantMaker& make) {
  const int64_t heads = make.shape().heads;
  std::vector<float> values;
  for (int64_t h = 0; h < heads; ++h) {
    values.push_back(std::exp2(-8.0F * static_cast<float>(h + 1) / static_cast<float>(heads)));
  }
  const auto& slopes = make.keep(std::move(values));
  make.describe("causal, with a penalty that grows with the distance, a slope for each head",
                "score + slope[h] * (kv - q),  q >= kv");
  make.score([slope = capture_vector(slopes)](auto score, auto, auto h, auto q, auto kv) {
    return score + slope[h] * (kv - q);
  });
  make.mask([](auto, auto, auto q, auto kv) { return q >= kv; });
  make.plain([&slopes](std::span<float> scores, int64_t h, int64_t q) {
    const float slope = slopes[static_cast<std::size_t>(h)];
    const auto length = static_cast<int64_t>(scores.size());
    for (int64_t kv = 0; kv < length; ++kv) {
      float& score = scores[static_cast<std::size_t>(kv)];
      score = q >= kv ? score + slope * static_cast<float>(kv - q) : kHidden;
    }
  });
}

// As in Gemma 2: Riviere et al., 2024.
void softcap(VariantMaker& make) {
  const double cap = make.number("cap", 30);
  make.describe("causal, scores held within -cap..cap by a soft limit",
                "cap * tanh(score / cap),  q >= kv");
  make.score([=](auto score, auto, auto, auto, auto) { return cap * tanh(score / cap); });
  make.mask([](auto, auto, auto q, auto kv) { return q >= kv; });
  make.plain([cap = static_cast<float>(cap)](std::span<float> scores, int64_t, int64_t q) {
    const auto length = static_cast<int64_t>(scores.size());
    for (int64_t kv = 0; kv < length; ++kv) {
      float& score = scores[static_cast<std::size_t>(kv)];
      score = q >= kv ? cap * std::tanh(score / cap) : kHidden;
    }
  });
}

constexpr int kT5Buckets = 32;  // sixteen for each direction
constexpr int64_t kT5Far = 128;

// The bucket of a distance. The first eight have one each; from there on bucket 8 + j begins where
// (distance / 8)^8 >= 16^j, which integers decide exactly where a logarithm may be off by one.
int32_t t5_bucket(int64_t distance) {
  if (distance < 8) return static_cast<int32_t>(distance);
  if (distance >= kT5Far) return kT5Buckets / 2 - 1;
  uint64_t power = 1;
  for (int i = 0; i < 8; ++i) power *= static_cast<uint64_t>(distance);  // below 2^56
  int32_t bucket = 8;
  for (uint64_t limit = uint64_t{1} << 28; bucket < 15 && power >= limit; limit <<= 4) ++bucket;
  return bucket;
}

// The same by the float32 formula that models were trained with.
int32_t t5_bucket_by_logarithm(int64_t distance) {
  if (distance < 8) return static_cast<int32_t>(distance);
  const float octaves = std::log(static_cast<float>(distance) / 8.0F) / std::log(16.0F);
  return std::min(15, 8 + static_cast<int32_t>(octaves * 8.0F));
}

// Raffel et al., "Exploring the limits of transfer learning", 2020.
void t5_bias(VariantMaker& make) {
  const auto heads = make.shape().heads;
  std::vector<int32_t> buckets;
  for (int64_t d = -kT5Far; d <= kT5Far; ++d) {
    buckets.push_back(t5_bucket(std::abs(d)) + (d > 0 ? kT5Buckets / 2 : 0));
  }
  std::vector<float> weights(static_cast<std::size_t>(kT5Buckets * heads));
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = Random(5).normal(i);
  const auto& bucket_table = make.keep(std::move(buckets));
  const auto& bias_table = make.keep(std::move(weights));
  make.describe("a learned bias for each head and each of 32 buckets of relative position",
                "score + bias[bucket(kv - q)][h]");
  const Capture bucket = capture_vector(bucket_table);
  const Capture bias = capture(view(bias_table.data(), {kT5Buckets, heads}));
  make.score([=](auto score, auto, auto h, auto q, auto kv) {
    return score + bias[bucket[clamp(kv - q, -kT5Far, kT5Far) + kT5Far]][h];
  });
  make.plain([&bias_table, heads](std::span<float> scores, int64_t h, int64_t q) {
    const auto length = static_cast<int64_t>(scores.size());
    std::array<float, 2 * kT5Far + 1> by_distance{};
    for (int64_t d = -kT5Far; d <= kT5Far; ++d) {
      const int32_t entry = t5_bucket_by_logarithm(std::abs(d)) + (d > 0 ? kT5Buckets / 2 : 0);
      by_distance[static_cast<std::size_t>(d + kT5Far)] =
          bias_table[static_cast<std::size_t>(entry * heads + h)];
    }
    for (int64_t kv = 0; kv < length; ++kv) {
      const int64_t d = std::clamp(kv - q, -kT5Far, kT5Far);
      scores[static_cast<std::size_t>(kv)] += by_distance[static_cast<std::size_t>(d + kT5Far)];
    }
  });
}

void checkerboard(VariantMaker& make) {
  make.describe("scores at even distances doubled, at odd ones halved",
                "score * (|q - kv| is even ? 2 : 0.5)");
  make.score([](auto score, auto, auto, auto q, auto kv) {
    return where(abs(q - kv) % 2 == 0, score * 2.0, score * 0.5);
  });
  make.plain([](std::span<float> scores, int64_t, int64_t q) {
    for (std::size_t kv = 0; kv < scores.size(); ++kv) {
      scores[kv] *= ((static_cast<std::size_t>(q) ^ kv) & 1) == 0 ? 2.0F : 0.5F;
    }
  });
}

// Hassani et al., "Neighborhood attention transformer", 2023: near an edge the window does not
// shrink, it is moved inside.
void natten(VariantMaker& make) {
  const int64_t length = make.length();
  const auto root = static_cast<int64_t>(std::sqrt(static_cast<double>(length)));
  const int64_t width = make.whole("width", root);
  const int64_t height = (length + width - 1) / width;
  const int64_t kernel = make.whole("kernel", std::min(width, height) / 5 | 1);
  const int64_t reach = kernel / 2;
  // A canvas smaller than the kernel: everything is near.
  const int64_t last_x = std::max(reach, width - 1 - reach);
  const int64_t last_y = std::max(reach, height - 1 - reach);
  make.describe(
      "the sequence is an image in row order; each pixel sees the kernel x kernel around it",
      "|clamp(y(q)) - y(kv)| <= kernel/2 && |clamp(x(q)) - x(kv)| <= kernel/2");
  make.mask([=](auto, auto, auto q, auto kv) {
    const auto y = clamp(q / width, reach, last_y);
    const auto x = clamp(q % width, reach, last_x);
    return abs(y - kv / width) <= reach && abs(x - kv % width) <= reach;
  });
  make.plain([=](std::span<float> scores, int64_t, int64_t q) {
    const int64_t y = std::clamp(q / width, reach, last_y);
    const int64_t x = std::clamp(q % width, reach, last_x);
    int64_t kv_y = 0, kv_x = 0;  // counted, not divided
    for (float& score : scores) {
      if (std::abs(y - kv_y) > reach || std::abs(x - kv_x) > reach) score = kHidden;
      if (++kv_x == width) kv_x = 0, ++kv_y;
    }
  });
}

struct Entry {
  const char* name;
  void (*build)(VariantMaker&);
};

constexpr Entry kEntries[] = {
    {"noop", noop},           {"causal", causal},     {"sliding_window", sliding_window},
    {"prefix_lm", prefix_lm}, {"document", document}, {"alibi", alibi},
    {"softcap", softcap},     {"t5_bias", t5_bias},   {"checkerboard", checkerboard},
    {"natten", natten},
};

}  // namespace

std::vector<std::string> variant_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kEntries) names.emplace_back(entry.name);
  return names;
}

Variant make_variant(std::string_view name, const VariantShape& shape) {
  for (const Entry& entry : kEntries) {
    if (name != entry.name) continue;
    VariantMaker make(entry.name, shape);
    entry.build(make);
    return make.finish();
  }
  throw UsageError(fmt::format("there is no variant {}: expected one of {}", name,
                               fmt::join(variant_names(), ", ")));
}

}  // namespace fovea::cli
