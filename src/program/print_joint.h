// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "program/derive.h"
#include "program/print.h"

/// Joint programs as text, for people and as the key of caches.
namespace fovea::program {

/// `values`: of the parameters, or empty for the structure alone. `notes`: what to say of each
/// contribution, captures first; or empty.
///
///   derivative of score_mod(score, b, h, q, kv; t0: f32[1]) {
///     out = score * t0[h]
///     dscore = dout * t0[h]
///     d t0[h] += dout * score
///   }
std::string print_joint(const JointProgram& joint, std::span<const Literal> values = {},
                        std::span<const std::string> notes = {});

}  // namespace fovea::program
