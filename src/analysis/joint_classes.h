// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "analysis/dependence.h"
#include "program/derive.h"

/// Along what a contribution to a captured gradient may be summed before it is scattered.
namespace fovea::analysis {

/// Of the index expressions of a read, together.
enum class IndexClass : uint8_t {
  scalar,    // one address for all q and kv (of a b and h, if it reads those)
  row,       // one a row, at most
  column,    // one a column, at most
  diagonal,  // one a q - kv, at most
  tile,      // another for each (q, kv)
  gathered,  // any other
};
const char* name_of(IndexClass index) noexcept;

struct ContributionClass {
  IndexClass index = IndexClass::scalar;
  bool reads_b = false, reads_h = false;  // the index; if not, all batches or heads add up
  ShapeClass value = ShapeClass::tile;    // what is added; tile wherever dout enters
};

/// One entry a contribution: those to captures, then those to parameters.
std::vector<ContributionClass> classify(const program::JointProgram& joint);

/// `scalar per head`: the index class and what else it reads, then the value's.
std::string describe(const ContributionClass& c);

}  // namespace fovea::analysis
