// SPDX-License-Identifier: Apache-2.0
#include <initializer_list>
#include <string>

#include <fovea/error.h>
#include "cpu/attention/lower.h"

namespace fovea::cpu::lowering {
namespace {

using program::Input;
using program::Op;

[[noreturn]] void fail_type(const Term& term) {
  throw InternalError("[lower] operand types must be promoted: expected another type, got " +
                      std::string(name_of(term.type)) + " at " + program::name_of(term.op));
}

class Selector {
 public:
  Selector(const Terms& terms, TilePhase site, const std::vector<int32_t>& uses)
      : terms_(terms), site_(site), uses_(uses) {}

  Selected run(TermId id) const {
    const Term& term = terms_[id];
    switch (term.op) {
      case Op::input:
      case Op::constant:
      case Op::param: break;
      case Op::gather: return {TileOp::gather, term.args};
      case Op::add: return add(term);
      case Op::sub: return sub(term);
      case Op::mul: return mul(term);
      case Op::div: return {is_gradient(term) ? TileOp::gradient_div : TileOp::div_f32, term.args};
      case Op::floor_div: return {TileOp::floor_div_i32, term.args};
      case Op::mod: return arithmetic(term, TileOp::mod_f32, TileOp::mod_i32);
      case Op::min: return arithmetic(term, TileOp::min_f32, TileOp::min_i32);
      case Op::max: return arithmetic(term, TileOp::max_f32, TileOp::max_i32);
      case Op::pow: return pow(term);
      case Op::neg: return arithmetic(term, TileOp::neg_f32, TileOp::neg_i32);
      case Op::abs: return arithmetic(term, TileOp::abs_f32, TileOp::abs_i32);
      case Op::exp: return {TileOp::exp_f32, term.args};
      case Op::exp2: return {TileOp::exp2_f32, term.args};
      case Op::log: return {TileOp::log_f32, term.args};
      case Op::log2: return {TileOp::log2_f32, term.args};
      case Op::tanh: return tanh(term);
      case Op::sigmoid: return {TileOp::sigmoid_f32, term.args};
      case Op::sqrt: return {TileOp::sqrt_f32, term.args};
      case Op::rsqrt: return {TileOp::rsqrt_f32, term.args};
      case Op::sin: return {TileOp::sin_f32, term.args};
      case Op::cos: return {TileOp::cos_f32, term.args};
      case Op::erf: return {TileOp::erf_f32, term.args};
      case Op::floor: return {TileOp::floor_f32, term.args};
      case Op::ceil: return {TileOp::ceil_f32, term.args};
      case Op::trunc: return {TileOp::trunc_f32, term.args};
      case Op::round: return {TileOp::round_f32, term.args};
      case Op::eq:
      case Op::ne:
      case Op::lt:
      case Op::le: return comparison(term);
      case Op::logical_and:
      case Op::bit_and: return {TileOp::bit_and, term.args};
      case Op::logical_or:
      case Op::bit_or: return {TileOp::bit_or, term.args};
      case Op::logical_not:
      case Op::bit_not: return {TileOp::bit_not, term.args};
      case Op::bit_xor: return {TileOp::bit_xor, term.args};
      case Op::shift_left: return {TileOp::shift_left, term.args};
      case Op::shift_right: return {TileOp::shift_right, term.args};
      case Op::philox: return {TileOp::philox, term.args};
      case Op::where: return where(term);
      case Op::to_f32: return convert(term, TileOp::copy, TileOp::i32_to_f32, TileOp::bool_to_f32);
      case Op::to_i32: return convert(term, TileOp::f32_to_i32, TileOp::copy, TileOp::bool_to_i32);
      case Op::to_bool:
        return convert(term, TileOp::f32_to_bool, TileOp::i32_to_bool, TileOp::copy);
    }
    throw InternalError("[lower] a leaf has no instruction: expected an operation, got " +
                        std::string(program::name_of(term.op)));
  }

 private:
  const Term& at(TermId id) const { return terms_[id]; }

  // An operand may vanish into its one reader if both run element by element.
  bool absorbs(TermId id) const {
    return is_tile_site(site_) && at(id).shape == ShapeClass::tile &&
           uses_[static_cast<std::size_t>(id)] == 1 && !terms_.is_saved(id);
  }
  bool absorbs(TermId id, Op op) const { return at(id).op == op && absorbs(id); }
  // A product of floats that an addition may round together with its sum; a gradient is none, because
  // it is 0 where one of the factors is, whatever the other.
  bool absorbs_product(TermId id) const {
    return absorbs(id, Op::mul) && at(id).type == ScalarType::f32 && !at(id).of_dout;
  }

  static Selected arithmetic(const Term& term, TileOp of_floats, TileOp of_integers) {
    switch (term.type) {
      case ScalarType::f32: return {of_floats, term.args};
      case ScalarType::i32: return {of_integers, term.args};
      case ScalarType::boolean: break;
    }
    fail_type(term);
  }

  Selected convert(const Term& term, TileOp from_f32, TileOp from_i32, TileOp from_bool) const {
    switch (at(term.args[0]).type) {
      case ScalarType::f32: return {from_f32, term.args};
      case ScalarType::i32: return {from_i32, term.args};
      case ScalarType::boolean: return {from_bool, term.args};
    }
    fail_type(term);
  }

  Selected add(const Term& term) const {
    for (const int i : {0, 1}) {
      const TermId product = term.args[static_cast<std::size_t>(i)];
      if (!absorbs_product(product)) continue;
      const TermId other = term.args[static_cast<std::size_t>(1 - i)];
      return {TileOp::fma, {at(product).args[0], at(product).args[1], other}};
    }
    return arithmetic(term, TileOp::add_f32, TileOp::add_i32);
  }

  Selected sub(const Term& term) const {
    const TermId a = term.args[0], b = term.args[1];
    if (absorbs_product(a)) {
      return {TileOp::fms, {at(a).args[0], at(a).args[1], b}};
    }
    if (absorbs_product(b)) {
      return {TileOp::fnma, {at(b).args[0], at(b).args[1], a}};
    }
    return arithmetic(term, TileOp::sub_f32, TileOp::sub_i32);
  }

  Selected mul(const Term& term) const {
    if (is_gradient(term)) return gradient(term);
    for (const int i : {0, 1}) {
      const TermId tanh = term.args[static_cast<std::size_t>(i)];
      if (!absorbs(tanh, Op::tanh)) continue;
      const TermId inside = at(tanh).args[0];
      const TermId cap = term.args[static_cast<std::size_t>(1 - i)];
      const bool divides = absorbs(inside, Op::div);
      if (!divides && !absorbs(inside, Op::mul)) continue;
      return {divides ? TileOp::softcap_div : TileOp::softcap,
              {at(inside).args[0], at(inside).args[1], cap}};
    }
    return arithmetic(term, TileOp::mul_f32, TileOp::mul_i32);
  }

  bool is_gradient(const Term& term) const {
    return site_ == TilePhase::backward && term.of_dout && term.shape == ShapeClass::tile;
  }

  // A gradient times a factor.
  Selected gradient(const Term& product) const {
    const Selected of_tanh = tanh_gradient(product);
    if (!of_tanh.args.empty()) return of_tanh;
    const TermId a = product.args[0], b = product.args[1];
    return {TileOp::gradient_mul, at(a).of_dout ? std::vector{a, b} : std::vector{b, a}};
  }

  // g * (1 - r * r), or that times one other factor.
  Selected tanh_gradient(const Term& product) const {
    std::vector<TermId> pending = product.args, factors;
    TermId g = -1, r = -1;
    while (!pending.empty()) {
      const TermId id = pending.back();
      pending.pop_back();
      if (absorbs(id, Op::mul)) {
        pending.insert(pending.end(), at(id).args.begin(), at(id).args.end());
      } else if (at(id).of_dout) {
        g = id;
      } else if (const TermId squared = square_below_one(id); squared >= 0 && r < 0) {
        r = squared;
      } else {
        factors.push_back(id);
      }
    }
    if (g < 0 || r < 0 || factors.size() > 1) return {};
    return {TileOp::tanh_gradient, {g, r, factors.empty() ? TermId{Terms::kOne} : factors[0]}};
  }

  // x of 1 - x * x, else -1.
  TermId square_below_one(TermId id) const {
    if (!absorbs(id, Op::sub) || at(id).args[0] != Terms::kOne) return -1;
    const TermId square = at(id).args[1];
    const bool squares = absorbs(square, Op::mul) && at(square).args[0] == at(square).args[1];
    return squares ? at(square).args[0] : -1;
  }

  Selected tanh(const Term& term) const {
    const TermId inside = term.args[0];
    if (absorbs(inside, Op::div)) return {TileOp::tanh_div, at(inside).args};
    if (absorbs(inside, Op::mul)) return {TileOp::tanh_mul, at(inside).args};
    return {TileOp::tanh_f32, term.args};
  }

  Selected pow(const Term& term) const {
    const Term& exponent = at(term.args[1]);
    if (exponent.op == Op::constant && exponent.literal.f == 2) {
      return {TileOp::mul_f32, {term.args[0], term.args[0]}};
    }
    return {TileOp::pow_f32, term.args};
  }

  Selected comparison(const Term& term) const {
    const ScalarType type = at(term.args[0]).type;
    const bool floats = type == ScalarType::f32;
    std::vector<TermId> args = term.args;
    // Lanes of bools are 0 and -1: true is the smaller number.
    const bool ordered = term.op == Op::lt || term.op == Op::le;
    if (type == ScalarType::boolean && ordered) args = {args[1], args[0]};
    if (term.op == Op::eq) return {floats ? TileOp::eq_f32 : TileOp::eq_i32, args};
    if (term.op == Op::ne) return {floats ? TileOp::ne_f32 : TileOp::ne_i32, args};
    if (term.op == Op::lt) return {floats ? TileOp::lt_f32 : TileOp::lt_i32, args};
    return {floats ? TileOp::le_f32 : TileOp::le_i32, args};
  }

  Selected where(const Term& term) const {
    const TermId condition = term.args[0], a = term.args[1], b = term.args[2];
    const Term& test = at(condition);
    if (!absorbs(condition)) return {TileOp::select, term.args};
    const bool of_bools = test.type == ScalarType::boolean;
    if (of_bools && (test.op == Op::logical_and || test.op == Op::bit_and)) {
      return {TileOp::select_and, {test.args[0], test.args[1], a, b}};
    }
    if (of_bools && (test.op == Op::logical_or || test.op == Op::bit_or)) {
      return {TileOp::select_or, {test.args[0], test.args[1], a, b}};
    }
    if (test.op == Op::logical_not) return {TileOp::select, {test.args[0], b, a}};
    if (test.op == Op::eq || test.op == Op::ne || test.op == Op::lt || test.op == Op::le) {
      return where_compared(test, a, b);
    }
    return {TileOp::select, term.args};
  }

  Selected where_compared(const Term& test, TermId a, TermId b) const {
    const Selected compared = comparison(test);
    const std::vector<TermId>& sides = compared.args;
    const bool floats = at(sides[0]).type == ScalarType::f32;
    // abs(x - y) <= bound
    if (test.op == Op::le && absorbs(sides[0], Op::abs)) {
      const TermId difference = at(sides[0]).args[0];
      if (absorbs(difference, Op::sub)) {
        return {floats ? TileOp::select_within_f32 : TileOp::select_within_i32,
                {at(difference).args[0], at(difference).args[1], sides[1], a, b}};
      }
    }
    return {with_select(compared.op), {sides[0], sides[1], a, b}};
  }

  static TileOp with_select(TileOp comparison) {
    if (comparison == TileOp::eq_f32) return TileOp::select_eq_f32;
    if (comparison == TileOp::ne_f32) return TileOp::select_ne_f32;
    if (comparison == TileOp::lt_f32) return TileOp::select_lt_f32;
    if (comparison == TileOp::le_f32) return TileOp::select_le_f32;
    if (comparison == TileOp::eq_i32) return TileOp::select_eq_i32;
    if (comparison == TileOp::ne_i32) return TileOp::select_ne_i32;
    if (comparison == TileOp::lt_i32) return TileOp::select_lt_i32;
    return TileOp::select_le_i32;
  }

  const Terms& terms_;
  TilePhase site_;
  const std::vector<int32_t>& uses_;
};

TilePhase natural_site(ShapeClass shape) {
  switch (shape) {
    case ShapeClass::scalar: return TilePhase::scalar;
    case ShapeClass::row: return TilePhase::row;
    case ShapeClass::column: return TilePhase::column;
    case ShapeClass::diagonal: return TilePhase::diagonal;
    case ShapeClass::tile: return TilePhase::tile;
  }
  return TilePhase::tile;
}

}  // namespace

TilePhase site_of(const Terms& terms, TermId id, TilePhase site) {
  const TilePhase natural = natural_site(terms[id].shape);
  if (site == TilePhase::backward && natural == TilePhase::tile && !terms.is_saved(id)) return site;
  return is_tile_site(site) || natural == TilePhase::scalar ? natural : site;
}

bool is_zero_at(const Term& term, TilePhase site) {
  if (term.op != Op::input || is_tile_site(site)) return false;
  const bool q = term.slot == static_cast<int32_t>(Input::q);
  const bool kv = term.slot == static_cast<int32_t>(Input::kv);
  return (q && site != TilePhase::row && site != TilePhase::diagonal) ||
         (kv && site != TilePhase::column);
}

Selected select(const Terms& terms, TermId id, TilePhase site, const std::vector<int32_t>& uses) {
  Selected selected = Selector(terms, site, uses).run(id);
  for (TermId& arg : selected.args) {
    // On the diagonal q - kv is q itself.
    while ((terms[arg].op == Op::sub || terms[arg].op == Op::add) &&
           is_zero_at(terms[terms[arg].args[1]], site) && site_of(terms, arg, site) == site) {
      arg = terms[arg].args[0];
    }
    if (site == TilePhase::backward && arg == Terms::kScore) arg = Terms::kRawScore;
  }
  return selected;
}

Selected select(const Terms& terms, const Sum& sum, const std::vector<int32_t>& uses) {
  Selected selected{sum.op, {sum.value}};
  const auto used_once = [&](TermId id) { return uses[static_cast<std::size_t>(id)] == 1; };
  if (sum.op == TileOp::scatter) {
    selected.args.insert(selected.args.end(), sum.index.begin(), sum.index.end());
  } else if (sum.op != TileOp::sum_diagonals && used_once(sum.value)) {
    const bool computes = terms[sum.value].op == Op::mul;
    const Selected value =
        computes ? select(terms, sum.value, TilePhase::backward, uses) : Selected{};
    if (value.op == TileOp::gradient_mul) selected.args = value.args;
  }
  return selected;
}

bool is_consecutive(const Terms& terms, TermId id, TilePhase site) {
  const Term& term = terms[id];
  const TilePhase at = site_of(terms, id, site);
  if (at != TilePhase::row && at != TilePhase::column) return false;
  if (term.op == Op::input) {
    return term.slot == static_cast<int32_t>(at == TilePhase::row ? Input::q : Input::kv);
  }
  if (term.op != Op::add && term.op != Op::sub) return false;
  const bool scalar_first = terms[term.args[0]].shape == ShapeClass::scalar;
  const bool scalar_second = terms[term.args[1]].shape == ShapeClass::scalar;
  if (scalar_second) return is_consecutive(terms, term.args[0], at);
  return term.op == Op::add && scalar_first && is_consecutive(terms, term.args[1], at);
}

}  // namespace fovea::cpu::lowering
