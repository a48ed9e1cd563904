// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>
#include "training_call.h"

// Memory that runs out, at each allocation of a call in turn: it throws std::bad_alloc, leaves the outputs
// as they were, and the next call works.
namespace {

// Allocations that this thread still gets; negative: all.
thread_local int64_t allowed = -1;

// nullptr if there is no more.
void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
  if (allowed == 0) return nullptr;
  if (allowed > 0) --allowed;
  bytes = std::max<std::size_t>(bytes, 1);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}
void* allocate_or_throw(std::size_t bytes, std::size_t alignment) {
  if (void* p = allocate(bytes, alignment)) return p;
  throw std::bad_alloc();
}

constexpr std::size_t kAlignment = alignof(std::max_align_t);

}  // namespace

// g++ takes an inlined `free` here for one of memory that another `operator new` gave.
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

// Every form that a single object or a buffer is made by: what one made, another may delete. Arrays go
// through these, or (with a sanitizer) through that one's own, in both directions.
void* operator new(std::size_t bytes) { return allocate_or_throw(bytes, kAlignment); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes, kAlignment);
}
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { std::free(p); }

namespace fovea {
namespace {

class AllocationFailure : public ::testing::Test {
 protected:
  // Runs f with 0, 1, 2 ... allocations (later in growing steps: builds that check every element make
  // many) until it succeeds; `untouched` is asked after each failure. Returns how often it failed.
  template <class F, class Untouched>
  static int failures_of(F&& f, Untouched&& untouched) {
    constexpr int64_t kOneByOne = 300, kLimit = int64_t{1} << 32;
    int failures = 0;
    for (int64_t given = 0; given < kLimit; given += given < kOneByOne ? 1 : given / 4) {
      allowed = given;
      try {
        f();
        allowed = -1;
        return failures;
      } catch (const std::bad_alloc&) {
        allowed = -1;
        ++failures;
      }
      if (!untouched()) {
        ADD_FAILURE() << "an output was written, though allocation " << given << " failed";
        return failures;
      }
    }
    ADD_FAILURE() << "still failing with " << kLimit << " allocations";
    return failures;
  }

  // A program that no cache knows, so that tracing and planning allocate.
  static void use_new_mods(test::TrainingCall<float>& call, int number) {
    const auto slopes = capture(call.normal({2}));
    call.options.score_mod = score_mod([=](auto s, auto, auto h, auto q, auto kv) {
      auto x = s + slopes[h] * (q - kv);
      for (int i = 0; i < number; ++i) x = tanh(x);
      return x;
    });
    call.options.block_mask =
        create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                          {.q_len = 300, .kv_len = 300, .block_size = {.q = 64, .kv = 64}});
  }

  // Large enough that the workspace comes from the heap.
  test::TrainingCall<float> call_{
      {.q_heads = 2, .kv_heads = 1, .q_len = 300, .kv_len = 300, .head_dim = 64, .value_dim = 64}};
};

bool all_are(const TensorView& tensor, float x) {
  const float* data = static_cast<const float*>(tensor.data);
  return std::all_of(data, data + tensor.numel(), [&](float y) { return y == x; });
}

void fill(const TensorView& tensor, float x) {
  std::fill_n(static_cast<float*>(tensor.data), tensor.numel(), x);
}

TEST_F(AllocationFailure, Forward) {
  use_new_mods(call_, 3);
  call_.options.lse = call_.saved.lse;
  fill(call_.saved.out, 5);
  fill(call_.saved.lse, 5);
  const auto forward = [&] {
    flex_attention(call_.query, call_.key, call_.value, call_.saved.out, call_.options);
  };
  const int failures = failures_of(
      forward, [&] { return all_are(call_.saved.out, 5) && all_are(call_.saved.lse, 5); });
  EXPECT_GT(failures, 3);
  const float* out = static_cast<const float*>(call_.saved.out.data);
  const std::vector<float> got(out, out + call_.saved.out.numel());
  forward();
  EXPECT_TRUE(std::equal(got.begin(), got.end(), out));
  reference_attention(call_.query, call_.key, call_.value, call_.saved.out, call_.options);
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], out[i], 1e-5) << i;
}

TEST_F(AllocationFailure, Backward) {
  use_new_mods(call_, 4);
  call_.run_forward({flex_attention, flex_attention_backward});
  std::vector<float> query(static_cast<std::size_t>(call_.query.numel()), 5);
  std::vector<float> slopes(2, 5);
  FlexGradients wanted{.query = view(query.data(), call_.query.sizes)};
  wanted.score_captures = {view(slopes.data(), {2})};
  const int failures = failures_of(
      [&] {
        flex_attention_backward(call_.query, call_.key, call_.value, call_.saved, wanted,
                                call_.options);
      },
      [&] { return all_are(wanted.query, 5) && all_are(wanted.score_captures[0], 5); });
  EXPECT_GT(failures, 3);
  const std::vector<float> got = query, got_slopes = slopes;
  reference_backward(call_.query, call_.key, call_.value, call_.saved, wanted, call_.options);
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], query[i], 1e-4) << i;
  EXPECT_NEAR(got_slopes[0], slopes[0], 1e-4 * std::max(1.0f, std::abs(slopes[0])));
}

TEST_F(AllocationFailure, CreateBlockMask) {
  BlockMask mask;
  const auto window = mask_mod([](auto, auto, auto q, auto kv) { return abs(q - kv) < 100; });
  const int64_t failures =
      failures_of([&] { mask = create_block_mask(window, {.q_len = 5000, .kv_len = 5000}); },
                  [&] { return !mask; });
  EXPECT_GT(failures, 3);
  const BlockMask expected = create_block_mask(window, {.q_len = 5000, .kv_len = 5000});
  for (int64_t row = 0; row < 40; ++row) {
    EXPECT_TRUE(std::ranges::equal(mask.full(0, 0, row), expected.full(0, 0, row))) << row;
    EXPECT_TRUE(std::ranges::equal(mask.partial(0, 0, row), expected.partial(0, 0, row))) << row;
  }
}

}  // namespace
}  // namespace fovea
