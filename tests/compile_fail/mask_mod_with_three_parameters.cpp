// expect: a mask_mod takes four parameters: .b, h, q, kv.
// SPDX-License-Identifier: Apache-2.0
#include <fovea/program.h>

auto mask = fovea::mask_mod([](auto, auto q, auto kv) { return q >= kv; });
