// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <fovea/block_mask.h>
#include "attention/backward_problem.h"
#include "attention/problem.h"

/// What explain says beyond facts: what a call costs, and how it could cost less.
namespace fovea::attention {

/// How much of the blocks that are computed a mask lets through, by a sample of its partial blocks. If it
/// is little, and another order of the tokens would help, says which; empty if there is nothing to
/// say. Masks without a mask_mod, or with captured tensors off the CPU, are not looked at.
std::string advise(const BlockMask& mask);

/// The work of a call: operations of the products in the blocks that are computed, and a guess of what the
/// programs add to them. `p` has simplified programs.
std::string cost_guess(const Problem& p);
std::string cost_guess(const BackwardProblem& b);  // as a backend sees it

}  // namespace fovea::attention
