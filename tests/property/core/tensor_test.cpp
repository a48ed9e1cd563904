// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/random.h>
#include <fovea/tensor.h>

namespace fovea {
namespace {

struct Draw {
  explicit Draw(uint64_t seed) : random(seed) {}
  int64_t operator()(int64_t limit) { return random.below(next++, limit); }
  Random random;
  uint64_t next = 0;
};

// The offsets of all elements in row-major order, by counting.
std::vector<int64_t> offsets_of(const Dims& sizes, const Dims& strides) {
  std::vector<int64_t> offsets;
  std::vector<int64_t> index(static_cast<std::size_t>(sizes.rank()), 0);
  if (std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) return offsets;
  for (;;) {
    int64_t offset = 0;
    for (int i = 0; i < sizes.rank(); ++i)
      offset += index[static_cast<std::size_t>(i)] * strides[i];
    offsets.push_back(offset);
    int axis = sizes.rank() - 1;
    while (axis >= 0 && ++index[static_cast<std::size_t>(axis)] == sizes[axis]) {
      index[static_cast<std::size_t>(axis--)] = 0;
    }
    if (axis < 0) return offsets;
  }
}

bool is_counting(const std::vector<int64_t>& offsets) {
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    if (offsets[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

TEST(TensorProperty, ContiguousMeansThatTheElementsFollowEachOther) {
  char memory = 0;
  int contiguous = 0, other = 0;
  for (uint64_t seed = 1; seed <= 4000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Draw draw(seed);
    std::vector<int64_t> sizes(static_cast<std::size_t>(draw(6)));
    for (int64_t& size : sizes) size = draw(10) == 0 ? 0 : 1 + draw(4);
    TensorView tensor;
    tensor.data = &memory;
    tensor.sizes = Dims(sizes);
    tensor.strides = contiguous_strides(tensor.sizes);
    ASSERT_TRUE(is_counting(offsets_of(tensor.sizes, tensor.strides)));
    if (!sizes.empty() && draw(3) > 0) {  // one or two strides changed
      for (int64_t i = draw(2); i >= 0; --i) {
        tensor.strides[static_cast<int>(draw(tensor.rank()))] = draw(12) - 2;
      }
    }
    const std::vector<int64_t> offsets = offsets_of(tensor.sizes, tensor.strides);
    ASSERT_EQ(tensor.numel(), static_cast<int64_t>(offsets.size()));
    ASSERT_EQ(tensor.is_contiguous(), is_counting(offsets))
        << to_string(tensor.sizes) << " " << to_string(tensor.strides);
    ++(tensor.is_contiguous() ? contiguous : other);
  }
  EXPECT_GT(contiguous, 500);
  EXPECT_GT(other, 500);
}

}  // namespace
}  // namespace fovea
