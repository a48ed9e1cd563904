// expect: a mod cannot branch on a Value
// SPDX-License-Identifier: Apache-2.0
#include <fovea/program.h>

auto score = fovea::score_mod(
    [](auto s, auto, auto, auto q, auto kv) { return q >= kv ? s : fovea::Value(0.0); });
