// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include <fovea/random.h>
#include <fovea/tensor.h>

/// The tensors that random programs capture: every dtype, ranks 0 to 3, contiguous, transposed,
/// reversed and broadcast. They live as long as the process.
namespace fovea::test {

struct RandomTable {
  std::string name;  // as the printed code calls it
  TensorView tensor;
};

class RandomTables {
 public:
  RandomTables() {
    add<float>("bias", {4, 13});
    add<double>("slopes", {3});
    add<BFloat16>("rough", {7, 5});
    add<Float16>("half_row", {11});
    add<int32_t>("doc", {96});
    add<int64_t>("far", {5});
    add<int16_t>("offsets", {3, 4, 5});
    add<int8_t>("small", {9});
    add<uint8_t>("bytes", {16, 2});
    add<bool>("flags", {17});
    add<bool>("grid", {6, 6});
    add<float>("scale", {});
    add<int32_t>("shift", {});
    tables_.push_back({"bias_t", transposed(tables_[0].tensor)});
    tables_.push_back({"doc_reversed", reversed(tables_[4].tensor)});
    TensorView broadcast = tables_[1].tensor;
    broadcast.sizes = Dims{3, 8};
    broadcast.strides = Dims{1, 0};
    tables_.push_back({"slopes_wide", broadcast});
  }

  const std::vector<RandomTable>& all() const { return tables_; }

  /// The name of one of them, or of any other tensor "?".
  static std::string name_of(const TensorView& tensor) {
    for (const RandomTable& table : get().all()) {
      const TensorView& t = table.tensor;
      const bool same = t.data == tensor.data && t.dtype == tensor.dtype;
      if (same && t.sizes == tensor.sizes && t.strides == tensor.strides) return table.name;
    }
    return "?";
  }

  static const RandomTables& get() {
    static const RandomTables tables;
    return tables;
  }

 private:
  static TensorView transposed(TensorView tensor) {
    tensor.sizes = Dims{tensor.size(1), tensor.size(0)};
    tensor.strides = Dims{tensor.stride(1), tensor.stride(0)};
    return tensor;
  }

  static TensorView reversed(TensorView tensor) {
    auto* last = static_cast<int32_t*>(tensor.data) + tensor.size(0) - 1;
    return view(last, tensor.sizes, Dims{-1});
  }

  // A bool has no std::vector of its own memory: bytes stand for it.
  template <class T>
  void add(const std::string& name, const Dims& sizes) {
    int64_t count = 1;
    for (const int64_t size : sizes) count *= size;
    auto& bytes = memory_.emplace_back(static_cast<std::size_t>(count) * sizeof(T));
    T* data = reinterpret_cast<T*>(bytes.data());
    const Random random(memory_.size());
    for (int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<uint64_t>(i);
      if constexpr (std::is_same_v<T, bool>) {
        data[i] = random.below(at, 2) == 1;
      } else if constexpr (std::is_integral_v<T>) {
        data[i] = static_cast<T>(random.below(at, 12) - (std::is_signed_v<T> ? 3 : 0));
      } else {
        data[i] = T(random.normal(at));
      }
    }
    tables_.push_back({name, view(data, sizes)});
  }

  std::deque<std::vector<unsigned char>> memory_;
  std::vector<RandomTable> tables_;
};

}  // namespace fovea::test
