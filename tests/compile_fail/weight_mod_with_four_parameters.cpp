// expect: a weight_mod takes five parameters: .w, b, h, q, kv.
// SPDX-License-Identifier: Apache-2.0
#include <fovea/program.h>

auto weight = fovea::weight_mod([](auto w, auto, auto, auto) { return w; });
