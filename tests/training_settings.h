// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <fovea/fovea.h>
#include "training_call.h"

/// What tests of training vary besides sizes: mods and masks of every kind, for calls of any size.
namespace fovea::test {

template <class T>
struct TrainingSetting {
  const char* name;
  std::function<void(TrainingCall<T>&)> apply;
};

// Blocks so small that small problems have full, partial and skipped ones.
template <class T, class F>
BlockMask small_blocks(const TrainingCall<T>& call, F&& mod) {
  return create_block_mask(mod, {.q_len = call.s.q_len,
                                 .kv_len = call.s.kv_len,
                                 .batch = call.s.batch,
                                 .heads = call.s.q_heads,
                                 .block_size = {.q = 4, .kv = 4}});
}

template <class T>
std::vector<TrainingSetting<T>> training_settings() {
  using Call = TrainingCall<T>;
  // One more than there are positions, so that a tensor is never empty.
  const auto positions = [](const Call& c) { return c.s.q_len + c.s.kv_len + 1; };
  return {
      {"plain", [](Call&) {}},
      {"causal",
       [](Call& c) {
         c.options.block_mask =
             create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                               {.q_len = c.s.q_len, .kv_len = c.s.kv_len});
       }},
      {"scalars and a sink",
       [=](Call& c) {
         const int64_t all = positions(c);
         const auto slopes = capture(c.normal({c.s.q_heads})), one = capture(c.normal({1}));
         c.options.sinks = c.normal({c.s.q_heads});
         c.options.score_mod = score_mod([=](auto s, auto, auto h, auto q, auto kv) {
           return s * one[0] + slopes[h] * (q - kv) * 4 / all;
         });
       }},
      {"window of small blocks with a diagonal bias",
       [=](Call& c) {
         const auto bias = capture(c.normal({c.s.q_heads, positions(c)}));
         const int64_t shift = c.s.kv_len;
         c.options.score_mod = score_mod([=](auto s, auto, auto h, auto q, auto kv) {
           return 2 * tanh(s / 2) + bias[h][q - kv + shift];
         });
         c.options.block_mask =
             small_blocks(c, [](auto, auto, auto q, auto kv) { return abs(q - kv) < 9; });
       }},
      {"rows and columns",
       [=](Call& c) {
         const auto row = capture(c.normal({c.s.batch, positions(c)}));
         const auto column = capture(c.normal({positions(c)}));
         c.options.score_mod = score_mod([=](auto s, auto b, auto, auto q, auto kv) {
           return s * sigmoid(row[b][q]) + column[kv];
         });
       }},
      {"dense and gathered",
       [=](Call& c) {
         const auto dense = capture(c.normal({c.s.q_heads, positions(c), positions(c)}));
         const auto table = capture(c.normal({5, 3}));
         c.options.score_mod = score_mod([=](auto s, auto, auto h, auto q, auto kv) {
           return s + where(q >= kv, dense[h][q][kv], table[q % 5][kv % 3]);
         });
       }},
      {"every second key, weights changed",
       [=](Call& c) {
         const auto gate = capture(c.normal({positions(c)}));
         c.options.weight_mod =
             weight_mod([=](auto w, auto, auto, auto, auto kv) { return w * w + w * gate[kv]; });
         c.options.block_mask =
             small_blocks(c, [](auto, auto, auto q, auto kv) { return (q + kv) % 2 == 0; });
       }},
      {"dropout",
       [](Call& c) {
         static constexpr int64_t kSeed = 5, kOffset = 3;
         c.options.weight_mod = dropout(0.25, view(&kSeed, {1}), view(&kOffset, {1}));
       }},
  };
}

}  // namespace fovea::test
