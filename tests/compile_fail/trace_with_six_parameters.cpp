// expect: a mod takes .score, b, h, q, kv. or .b, h, q, kv.
// SPDX-License-Identifier: Apache-2.0
#include <fovea/program.h>

auto program = fovea::trace([](auto s, auto, auto, auto, auto, auto) { return s; });
