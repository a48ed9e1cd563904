// expect: a score_mod takes five parameters: .score, b, h, q, kv.
// SPDX-License-Identifier: Apache-2.0
#include <fovea/program.h>

auto score = fovea::score_mod([](auto s, auto, auto, auto, auto, auto) { return s; });
