// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "analysis/joint_classes.h"
#include "cpu/attention/lower.h"

namespace fovea::cpu::lowering {
namespace {

using program::Op;

TileOp sum_of(analysis::IndexClass index) {
  switch (index) {
    case analysis::IndexClass::scalar: return TileOp::sum_scalar;
    case analysis::IndexClass::row: return TileOp::sum_rows;
    case analysis::IndexClass::column: return TileOp::sum_columns;
    case analysis::IndexClass::diagonal: return TileOp::sum_diagonals;
    case analysis::IndexClass::tile:
    case analysis::IndexClass::gathered: break;
  }
  return TileOp::scatter;
}

// What takes longer than loading the result.
bool is_expensive(Op op) {
  switch (op) {
    case Op::gather:
    case Op::div:
    case Op::floor_div:
    case Op::mod:
    case Op::pow:
    case Op::exp:
    case Op::exp2:
    case Op::log:
    case Op::log2:
    case Op::tanh:
    case Op::sigmoid:
    case Op::sqrt:
    case Op::rsqrt:
    case Op::sin:
    case Op::cos:
    case Op::erf: return true;
    case Op::input:
    case Op::constant:
    case Op::param:
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::min:
    case Op::max:
    case Op::neg:
    case Op::abs:
    case Op::floor:
    case Op::ceil:
    case Op::trunc:
    case Op::round:
    case Op::eq:
    case Op::ne:
    case Op::lt:
    case Op::le:
    case Op::logical_and:
    case Op::logical_or:
    case Op::logical_not:
    case Op::bit_and:
    case Op::bit_or:
    case Op::bit_xor:
    case Op::bit_not:
    case Op::shift_left:
    case Op::shift_right:
    case Op::where:
    case Op::to_f32:
    case Op::to_i32:
    case Op::to_bool: return false;
  }
  return false;
}

// At most this many cheap instructions are run again instead of keeping their result.
constexpr int32_t kCheapToRepeat = 3;

class SavedTerms {
 public:
  explicit SavedTerms(Terms& terms) : terms_(terms) {}

  void run() {
    const auto size = static_cast<std::size_t>(terms_.size());
    find_costs();
    std::vector<bool> forward(size, false), backward(size, false);
    of(forward, terms_.score_root) = true;
    of(backward, terms_.dscore) = true;
    for (const Sum& sum : terms_.sums) {
      of(backward, sum.value) = true;
      for (const TermId index : sum.index) of(backward, index) = true;
    }
    for (TermId id = terms_.size() - 1; id >= 0; --id) {
      if (!of(forward, id)) continue;
      for (const TermId arg : terms_[id].args) of(forward, arg) = true;
    }
    for (TermId id = terms_.size() - 1; id >= 0; --id) {
      const Term& term = terms_[id];
      if (!of(backward, id) || term.shape != ShapeClass::tile) continue;
      if (id == Terms::kScore) {
        terms_.save(Terms::kRawScore);
      } else if (of(forward, id) && (is_expensive(term.op) || cost(id) > kCheapToRepeat)) {
        terms_.save(id);
      } else {
        for (const TermId arg : term.args) of(backward, arg) = true;
      }
    }
  }

 private:
  static std::vector<bool>::reference of(std::vector<bool>& flags, TermId id) {
    return flags[static_cast<std::size_t>(id)];
  }
  int32_t& cost(TermId id) { return costs_[static_cast<std::size_t>(id)]; }

  // Instructions from hoisted values, the score and expensive values to a term; shared ones count twice.
  void find_costs() {
    costs_.resize(static_cast<std::size_t>(terms_.size()), 0);
    for (TermId id = 0; id < terms_.size(); ++id) {
      const Term& term = terms_[id];
      if (term.shape != ShapeClass::tile || term.args.empty() || is_expensive(term.op)) continue;
      cost(id) = 1;
      for (const TermId arg : term.args) {
        cost(id) = std::min(cost(id) + cost(arg), kCheapToRepeat + 1);
      }
    }
  }

  Terms& terms_;
  std::vector<int32_t> costs_;
};

}  // namespace

void add_backward(Terms& terms, const program::JointProgram& joint,
                  const std::vector<TermId>& ids) {
  const auto term_of = [&](program::NodeId id) { return ids[static_cast<std::size_t>(id)]; };
  const auto classes = analysis::classify(joint);
  std::size_t number = 0;
  for (const auto* list : {&joint.captures, &joint.params}) {
    for (const auto& c : *list) {
      Sum sum{.op = sum_of(classes[number].index),
              .contribution = static_cast<int32_t>(number),
              .value = term_of(c.value),
              .index = {}};
      ++number;
      if (!terms[sum.value].of_dout) continue;  // a constant 0
      if (sum.op == TileOp::scatter) {
        for (const program::NodeId index : c.index) sum.index.push_back(term_of(index));
      }
      terms.sums.push_back(std::move(sum));
    }
  }
  terms.dscore = term_of(joint.dscore);
  if (terms.dscore == Terms::kDout) return;
  // The last instruction of all writes dscore over dout: what a sum reads is another's result.
  std::vector<bool> read(static_cast<std::size_t>(terms.size()), false);
  for (const Sum& sum : terms.sums) read[static_cast<std::size_t>(sum.value)] = true;
  for (TermId id = terms.size() - 1; id >= 0; --id) {
    if (!read[static_cast<std::size_t>(id)]) continue;
    for (const TermId arg : terms[id].args) read[static_cast<std::size_t>(arg)] = true;
  }
  const bool shared = read[static_cast<std::size_t>(terms.dscore)];
  if (shared || terms[terms.dscore].shape != ShapeClass::tile) {
    terms.dscore = terms.on_tile(terms.dscore);
  }
}

void choose_saved(Terms& terms) {
  if (terms.dscore >= 0) SavedTerms(terms).run();
}

}  // namespace fovea::cpu::lowering
