// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "attention/problem.h"

namespace fovea::attention {

/// Makes the causal option a part of the problem's block mask: the mask of the option alone, or its
/// intersection with the mask that is there. Both are kept for the next call of the same lengths (and of
/// the same mask). Where it hides nothing, as for one query at the end of the keys, nothing changes.
/// InvalidArgument for a mask whose lists decide (BlockMask::lists_decide).
void apply_causal(Problem& problem, Causal causal);

const char* name_of(Causal causal) noexcept;  // "upper_left"

/// How many masks are kept; for tests.
std::size_t kept_causal_masks();

}  // namespace fovea::attention
