// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <fovea/program.h>
#include <fovea/random.h>
#include <fovea/tensor.h>

/// The masks that the tests of analysis and mask run through, for any lengths. A Gallery owns the
/// tables that its programs read.
namespace fovea::test {

struct GalleryMask {
  std::string name;
  Program program;
};

class Gallery {
 public:
  Gallery(int64_t q_len, int64_t kv_len) : q_len_(q_len), kv_len_(kv_len) {
    length_ = std::max<int64_t>({q_len, kv_len, 1});
    add_plain();
    add_periodic();
    add_images();
    add_documents();
    add_tables();
    add_batched();
  }

  std::span<const GalleryMask> masks() const { return masks_; }
  static constexpr int64_t kBatch = 2;
  static constexpr int64_t kHeads = 3;

 private:
  template <class F>
  void add(std::string name, F&& mod) {
    masks_.push_back({std::move(name), mask_mod(std::forward<F>(mod))});
  }

  // A table of n entries made by entry(i), as a capture of the given shape.
  template <class T, class F>
  Capture table(std::deque<std::vector<T>>& pool, const Dims& sizes, F&& entry) {
    int64_t count = 1;
    for (const int64_t size : sizes) count *= size;
    auto& values = pool.emplace_back(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<T>(entry(static_cast<int64_t>(i)));
    }
    return capture(view(values.data(), sizes));
  }
  template <class F>
  Capture ints(const Dims& sizes, F&& entry) {
    return table(ints_, sizes, std::forward<F>(entry));
  }
  template <class F>
  Capture bytes(const Dims& sizes, F&& entry) {
    Capture result = table(bytes_, sizes, std::forward<F>(entry));
    TensorView tensor = result.tensor();
    tensor.dtype = DType::boolean;
    return capture(tensor);
  }

  void add_plain() {
    add("noop", [](auto, auto, auto, auto) { return Value(true); });
    add("empty", [](auto, auto, auto, auto) { return Value(false); });
    add("causal", [](auto, auto, auto q, auto kv) { return q >= kv; });
    add("causal offset", [](auto, auto, auto q, auto kv) { return q + 37 >= kv; });
    add("anti-causal", [](auto, auto, auto q, auto kv) { return q < kv; });
    add("sliding window", [](auto, auto, auto q, auto kv) { return q >= kv && q - kv <= 100; });
    add("two-sided window", [](auto, auto, auto q, auto kv) { return abs(q - kv) <= 60; });
    add("prefix", [](auto, auto, auto q, auto kv) { return kv < 200 || q >= kv; });
    add("diagonal line", [](auto, auto, auto q, auto kv) { return q == kv; });
    add("all but a line", [](auto, auto, auto q, auto kv) { return q != kv + 1; });
    add("triangle", [n = length_](auto, auto, auto q, auto kv) { return q + kv < n; });
    add("padding", [n = length_](auto, auto, auto, auto kv) { return kv < n - n / 3; });
    add("rows", [](auto, auto, auto q, auto) { return q % 300 < 170; });
    add("float distance",
        [](auto, auto, auto q, auto kv) { return exp(-to_float(abs(q - kv)) / 50.0) > 0.25; });
  }

  void add_periodic() {
    add("checkerboard", [](auto, auto, auto q, auto kv) { return (q / 16 + kv / 16) % 2 == 0; });
    add("skip odd keys", [](auto, auto, auto, auto kv) { return kv % 2 == 0; });
    add("dilated",
        [](auto, auto, auto q, auto kv) { return abs(q - kv) <= 200 && abs(q - kv) % 4 == 0; });
    add("dilated causal", [](auto, auto, auto q, auto kv) { return q >= kv && (q - kv) % 3 == 0; });
    add("products", [](auto, auto, auto q, auto kv) { return q * kv % 7 == 3; });
    add("batchify",
        [](auto, auto, auto q, auto kv) { return q / 96 == kv / 96 && q % 96 >= kv % 96; });
    add("block diffusion", [n = length_](auto, auto, auto q, auto kv) {
      const int64_t s = std::max<int64_t>(1, n / 2);
      const auto q_block = q % s / 32;
      const auto kv_block = kv % s / 32;
      const auto q_noised = q < s;
      const auto kv_noised = kv < s;
      return (q_block == kv_block && q_noised == kv_noised) ||
             (q_block > kv_block && q_noised && !kv_noised) ||
             (q_block >= kv_block && !q_noised && !kv_noised);
    });
    add("bits", [](auto, auto, auto q, auto kv) { return ((q ^ kv) & 40) == 8; });
  }

  template <class V>
  static Value clamped_neighbour(const V& q, const V& kv, int64_t size, int64_t kernel) {
    return abs(clamp(q, Value(kernel / 2), Value(std::max(kernel / 2, size - 1 - kernel / 2))) -
               kv) <= kernel / 2;
  }

  void add_images() {
    const int64_t w = 32;
    add("natten", [w](auto, auto, auto q, auto kv) {
      return clamped_neighbour(q / w, kv / w, 32, 7) && clamped_neighbour(q % w, kv % w, 32, 7);
    });
    add("natten, odd width", [](auto, auto, auto q, auto kv) {
      return clamped_neighbour(q / 30, kv / 30, 34, 5) && clamped_neighbour(q % 30, kv % 30, 30, 5);
    });
    add("tiled natten", [](auto, auto, auto q, auto kv) {
      const auto x = [](auto i) { return i / 64 / 4 * 8 + i % 64 / 8; };
      const auto y = [](auto i) { return i / 64 % 4 * 8 + i % 8; };
      return clamped_neighbour(x(q), x(kv), 32, 9) && clamped_neighbour(y(q), y(kv), 32, 9);
    });
    add("morton natten", [](auto, auto, auto q, auto kv) {
      const auto gather = [](auto i) {
        const auto a = i & 0x55555555;
        const auto b = (a | (a >> 1)) & 0x33333333;
        return (b | (b >> 2)) & 0x0f0f0f0f;
      };
      const auto x = [gather](auto i) { return gather(i >> 1); };
      return clamped_neighbour(x(q), x(kv), 16, 5) &&
             clamped_neighbour(gather(q), gather(kv), 16, 5);
    });
    add("stand-alone", [w](auto, auto, auto q, auto kv) {
      return abs(q / w - kv / w) <= 2 && abs(q % w - kv % w) <= 2;
    });
  }

  void add_documents() {
    const int64_t n = length_;
    const Capture ids = ints({n}, [n](int64_t i) { return i * 7 / n; });
    // Documents of 53 tokens whose ids follow no order, and tokens that belong to any of five.
    const Capture shuffled = ints({n}, [](int64_t i) { return (i / 53) * 37 % 101; });
    const Capture scattered =
        ints({n}, [](int64_t i) { return Random(3).below(static_cast<uint64_t>(i), 5); });
    const Capture starts = ints({8}, [n](int64_t i) { return (i * n + 6) / 7; });
    add("documents", [ids](auto, auto, auto q, auto kv) { return ids[q] == ids[kv]; });
    add("causal documents",
        [ids](auto, auto, auto q, auto kv) { return ids[q] == ids[kv] && q >= kv; });
    add("packed documents",
        [ids, starts](auto, auto, auto q, auto kv) { return kv >= starts[ids[q]] && q >= kv; });
    add("documents, inner window", [ids, starts](auto, auto, auto q, auto kv) {
      const auto q_in = q - starts[ids[q]];
      const auto kv_in = kv - starts[ids[kv]];
      return ids[q] == ids[kv] && q_in >= kv_in && q_in - kv_in < 40;
    });
    add("shuffled documents",
        [shuffled](auto, auto, auto q, auto kv) { return shuffled[q] == shuffled[kv]; });
    add("causal shuffled documents",
        [shuffled](auto, auto, auto q, auto kv) { return shuffled[q] == shuffled[kv] && q >= kv; });
    add("scattered documents",
        [scattered](auto, auto, auto q, auto kv) { return scattered[q] == scattered[kv]; });
  }

  void add_tables() {
    const int64_t n = length_;
    const auto rarely = [](int64_t i) {
      return Random(5).below(static_cast<uint64_t>(i), 97) == 0;
    };
    const auto mostly = [](int64_t i) {
      return Random(7).below(static_cast<uint64_t>(i), 16) != 0;
    };
    const Capture global = bytes({n}, rarely);
    const Capture valid = bytes({n}, mostly);
    const int64_t tiles = (n + 15) / 16;
    const Capture map = bytes({tiles, tiles}, [](int64_t i) {
      return Random(9).below(static_cast<uint64_t>(i), 4) == 0;
    });
    const Capture limits = ints({n}, [](int64_t i) { return i * 13 % 500; });
    add("global tokens", [global](auto, auto, auto q, auto kv) {
      return abs(q - kv) <= 20 || global[q] || global[kv];
    });
    add("valid queries", [valid](auto, auto, auto q, auto kv) { return valid[q] && q >= kv; });
    add("valid keys", [valid](auto, auto, auto, auto kv) { return valid[kv]; });
    add("tile map", [map](auto, auto, auto q, auto kv) { return map(q / 16, kv / 16); });
    add("limits", [limits](auto, auto, auto q, auto kv) { return kv <= limits[q]; });
    if (q_len_ * kv_len_ <= 200 * 200) {
      const Capture dense = bytes({n, n}, mostly);
      const Capture sparse = bytes({n, n}, rarely);
      add("dense table", [dense](auto, auto, auto q, auto kv) { return dense(q, kv); });
      add("sparse table", [sparse](auto, auto, auto q, auto kv) { return sparse(q, kv); });
    }
  }

  void add_batched() {
    const int64_t n = length_;
    const Capture lengths = ints({kBatch}, [n](int64_t i) { return n / (i + 1); });
    const Capture slopes = table(floats_, {kHeads}, [](int64_t i) { return 0.01F * float(i + 1); });
    const Capture ids = ints({kBatch, n}, [](int64_t i) { return i / 77; });
    add("batch lengths",
        [lengths](auto b, auto, auto q, auto kv) { return kv < lengths[b] && q >= kv; });
    add("head windows", [](auto, auto h, auto q, auto kv) { return abs(q - kv) <= 30 * (h + 1); });
    add("head slopes", [slopes](auto, auto h, auto q, auto kv) {
      return slopes[h] * to_float(abs(q - kv)) < 1.5;
    });
    add("batched documents", [ids](auto b, auto h, auto q, auto kv) {
      return ids(b, q) == ids(b, kv) && (h != 1 || q >= kv);
    });
  }

  int64_t q_len_, kv_len_;
  int64_t length_ = 1;
  std::deque<std::vector<int32_t>> ints_;
  std::deque<std::vector<uint8_t>> bytes_;
  std::deque<std::vector<float>> floats_;
  std::vector<GalleryMask> masks_;
};

}  // namespace fovea::test
