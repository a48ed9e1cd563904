// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/attention_backward.h>
#include <fovea/random.h>

/// Small attention problems with everything that a backward pass wants, of one floating-point type.
namespace fovea::test {

struct TrainingSizes {
  int64_t batch = 1, q_heads = 1, kv_heads = 1, q_len = 3, kv_len = 4, head_dim = 2, value_dim = 3;
  int64_t kv_batch = 0;  // 0: batch
};

/// flex_attention and its gradients, or what stands for them.
struct Engine {
  std::function<void(const TensorView& query, const TensorView& key, const TensorView& value,
                     const TensorView& out, const FlexOptions& options)>
      forward;
  std::function<void(const TensorView& query, const TensorView& key, const TensorView& value,
                     const BackwardInputs& saved, const FlexGradients& gradients,
                     const FlexOptions& options)>
      backward;
};

/// Of every tensor that can have one, contiguous; of captured tensors that are f32 or f64.
template <class T>
struct Gradients {
  std::vector<T> query, key, value, sinks;
  std::vector<std::vector<T>> score, weight;  // by slot; empty for what has none

  template <class F>
  void for_each(F&& f) const {
    f("query", query);
    f("key", key);
    f("value", value);
    f("sinks", sinks);
    for (std::size_t i = 0; i < score.size(); ++i) f("score_mod t" + std::to_string(i), score[i]);
    for (std::size_t i = 0; i < weight.size(); ++i) {
      f("weight_mod t" + std::to_string(i), weight[i]);
    }
  }
  std::vector<T> all() const {
    std::vector<T> result;
    for_each([&](const std::string&, const std::vector<T>& part) {
      result.insert(result.end(), part.begin(), part.end());
    });
    return result;
  }
  bool operator==(const Gradients& other) const {  // bit by bit
    const std::vector<T> a = all(), b = other.all();
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
  }
};

/// Inputs are normal numbers. Nothing moves: views stay valid.
template <class T>
class TrainingCall {
 public:
  explicit TrainingCall(const TrainingSizes& sizes = {}, uint64_t seed = 7)
      : s(sizes), random_(seed) {
    const int64_t kv_batch = s.kv_batch == 0 ? s.batch : s.kv_batch;
    query = normal({s.batch, s.q_heads, s.q_len, s.head_dim});
    key = normal({kv_batch, s.kv_heads, s.kv_len, s.head_dim});
    value = normal({kv_batch, s.kv_heads, s.kv_len, s.value_dim});
    saved.out = normal({s.batch, s.q_heads, s.q_len, s.value_dim});
    saved.lse = normal({s.batch, s.q_heads, s.q_len});
    saved.dout = normal(saved.out.sizes);
    saved.dlse = normal(saved.lse.sizes);
  }
  TrainingCall(const TrainingCall&) = delete;

  /// A tensor of normal numbers that lives as long as this.
  TensorView normal(const Dims& sizes) {
    TensorView shape;
    shape.sizes = sizes;
    auto& data = memory_.emplace_back(static_cast<std::size_t>(shape.numel()));
    for (T& x : data) x = static_cast<T>(random_.normal(next_++));
    return view(data.data(), sizes);
  }
  static T& at(const TensorView& tensor, int64_t i) { return static_cast<T*>(tensor.data)[i]; }

  void run_forward(const Engine& engine) const {
    FlexOptions all = options;
    all.lse = saved.lse;
    engine.forward(query, key, value, saved.out, all);
  }

  /// Every gradient. The memory is full of NaN before.
  Gradients<T> run_backward(const Engine& engine) const {
    Gradients<T> result;
    FlexGradients wanted;
    wanted.query = room(result.query, query);
    wanted.key = room(result.key, key);
    wanted.value = room(result.value, value);
    if (options.sinks) wanted.sinks = room(result.sinks, *options.sinks);
    wanted.score_captures = rooms(result.score, options.score_mod);
    wanted.weight_captures = rooms(result.weight, options.weight_mod);
    engine.backward(query, key, value, saved, wanted, options);
    return result;
  }

  /// Compares every gradient with central differences of the forward pass. Captured tensors are those of
  /// type T, and must be writable.
  void check_by_differences(const Engine& engine, double tolerance = 1e-8) const {
    run_forward(engine);
    const Gradients<T> got = run_backward(engine);
    compare(engine, "query", query, got.query, tolerance);
    compare(engine, "key", key, got.key, tolerance);
    compare(engine, "value", value, got.value, tolerance);
    if (options.sinks) compare(engine, "sinks", *options.sinks, got.sinks, tolerance);
    compare_captures(engine, options.score_mod, got.score, tolerance);
    compare_captures(engine, options.weight_mod, got.weight, tolerance);
  }

  const TrainingSizes s;
  TensorView query, key, value;
  BackwardInputs saved;
  FlexOptions options;

 private:
  static TensorView room(std::vector<T>& memory, const TensorView& like) {
    memory.assign(static_cast<std::size_t>(like.numel()), static_cast<T>(std::nan("")));
    return view(memory.data(), like.sizes);
  }
  static std::vector<TensorView> rooms(std::vector<std::vector<T>>& memory, const Program& mod) {
    std::vector<TensorView> views;
    memory.resize(mod.captures().size());
    for (std::size_t slot = 0; slot < memory.size(); ++slot) {
      const TensorView& captured = mod.captures()[slot];
      const bool wide = captured.dtype == DType::f64 || captured.dtype == DType::f32;
      views.push_back(wide ? room(memory[slot], captured) : TensorView{});
    }
    return views;
  }

  double loss(const Engine& engine) const {
    run_forward(engine);
    double sum = 0;
    const auto add = [&](const TensorView& result, const TensorView& gradient) {
      for (int64_t i = 0; i < result.numel(); ++i) {
        if (std::isinf(at(result, i))) continue;  // the lse of a row that attends to nothing
        sum += at(result, i) * at(gradient, i);
      }
    };
    add(saved.out, saved.dout);
    if (saved.dlse) add(saved.lse, *saved.dlse);
    return sum;
  }

  void compare(const Engine& engine, const std::string& name, const TensorView& input,
               const std::vector<T>& gradient, double tolerance) const {
    constexpr double kStep = 1e-5;
    for (int64_t i = 0; i < input.numel(); ++i) {
      T& x = at(input, i);
      const T before = x;
      x = before + kStep;
      const double above = loss(engine);
      x = before - kStep;
      const double below = loss(engine);
      x = before;
      const double expected = (above - below) / (2 * kStep);
      EXPECT_NEAR(gradient[static_cast<std::size_t>(i)], expected,
                  tolerance * (1 + std::abs(expected)))
          << name << "[" << i << "]";
    }
  }
  void compare_captures(const Engine& engine, const Program& mod,
                        const std::vector<std::vector<T>>& gradients, double tolerance) const {
    for (std::size_t slot = 0; slot < gradients.size(); ++slot) {
      const TensorView& captured = mod.captures()[slot];
      if (captured.dtype != DTypeOf<T>::value) continue;
      compare(engine, std::string(name_of(mod.kind())) + " t" + std::to_string(slot), captured,
              gradients[slot], tolerance);
    }
  }

  std::deque<std::vector<T>> memory_;
  Random random_;
  uint64_t next_ = 0;
};

/// Whether each gradient is within `tolerance` of the expected one, and NaN where expected. Relative to the
/// largest entry of its tensor, at least 1.
template <class T>
::testing::AssertionResult are_near(const Gradients<T>& got, const Gradients<T>& expected,
                                    double tolerance) {
  std::vector<std::vector<T>> parts;
  expected.for_each([&](const std::string&, const std::vector<T>& part) { parts.push_back(part); });
  auto result = ::testing::AssertionSuccess();
  std::size_t next = 0;
  got.for_each([&](const std::string& name, const std::vector<T>& part) {
    const std::vector<T>& right = parts[next++];
    if (!result) return;
    if (part.size() != right.size()) {
      result = ::testing::AssertionFailure() << name << ": another size";
      return;
    }
    double largest = 1;
    for (const T x : right) {
      if (std::isfinite(x)) largest = std::max(largest, std::abs(static_cast<double>(x)));
    }
    for (std::size_t i = 0; i < part.size(); ++i) {
      const auto a = static_cast<double>(part[i]), b = static_cast<double>(right[i]);
      const bool ok =
          std::isnan(b) ? std::isnan(a) : a == b || std::abs(a - b) <= tolerance * largest;
      if (ok) continue;
      result = ::testing::AssertionFailure() << name << "[" << i << "]: expected " << b << ", got "
                                             << a << ", largest " << largest;
      return;
    }
  });
  return result;
}

}  // namespace fovea::test
