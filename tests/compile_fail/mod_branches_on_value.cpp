// expect: a mod cannot branch on a Value
// SPDX-License-Identifier: Apache-2.0
#include <fovea/program.h>

auto mask = fovea::mask_mod([](auto, auto, auto q, auto kv) {
  if (q >= kv) return q == kv;
  return q < kv;
});
