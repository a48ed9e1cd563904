// SPDX-License-Identifier: Apache-2.0
#include "analysis/interval_program.h"

namespace fovea::analysis {

using program::NodeId;

void IntervalProgram::run_steps(std::size_t group) {
  const std::size_t begin = group == 0 ? 0 : group_end_[group - 1];
  for (std::size_t i = begin; i < group_end_[group]; ++i) {
    const Step& step = steps_[i];
    const NodeId out = step.out;
    const auto a = [&] { return ints(step.a); };
    const auto b = [&] { return ints(step.b); };
    switch (step.rule) {
      case Rule::input_score: set(out, interval::kAnyFloat); break;
      case Rule::input_b: set(out, interval::bounded(box_.b0, box_.b1)); break;
      case Rule::input_h: set(out, interval::bounded(box_.h0, box_.h1)); break;
      case Rule::input_q: set(out, interval::bounded(box_.q0, box_.q1)); break;
      case Rule::input_kv: set(out, interval::bounded(box_.kv0, box_.kv1)); break;
      case Rule::gather: eval_gather(step); break;
      case Rule::select_int:
        set(out, !a().is_point() ? interval::hull(b(), ints(step.c))
                                 : ints(a().lo != 0 ? step.b : step.c));
        break;
      case Rule::select_float:
        set(out, !a().is_point() ? interval::hull(floats(step.b), floats(step.c))
                                 : floats(a().lo != 0 ? step.b : step.c));
        break;
      case Rule::add: set(out, interval::add(a(), b())); break;
      case Rule::sub: set(out, interval::sub(a(), b())); break;
      case Rule::mul: set(out, interval::mul(a(), b())); break;
      case Rule::scale: set(out, interval::scale(a(), step.number)); break;
      case Rule::neg: set(out, interval::neg(a())); break;
      case Rule::abs: set(out, interval::abs(a())); break;
      case Rule::min: set(out, interval::min(a(), b())); break;
      case Rule::max: set(out, interval::max(a(), b())); break;
      case Rule::divide: set(out, interval::floor_div(a(), b())); break;
      case Rule::divide_by: set(out, interval::floor_div_by(a(), step.number)); break;
      case Rule::shift_down: set(out, interval::shift_down(a(), step.number)); break;
      case Rule::remainder: set(out, interval::mod(a(), b())); break;
      case Rule::remainder_by: set(out, interval::mod_by(a(), step.number)); break;
      case Rule::low_bits: set(out, interval::low_bits(a(), step.number)); break;
      case Rule::eq: set(out, interval::eq(a(), b())); break;
      case Rule::ne: set(out, interval::logical_not(interval::eq(a(), b()))); break;
      case Rule::lt: set(out, interval::lt(a(), b())); break;
      case Rule::le: set(out, interval::le(a(), b())); break;
      case Rule::negate: set(out, interval::logical_not(a())); break;
      case Rule::bit_and:
      case Rule::bit_or:
      case Rule::bit_xor:
      case Rule::bit_not:
      case Rule::shift_left:
      case Rule::shift_right: eval_bits(step); break;
      case Rule::copy: set(out, a()); break;
      case Rule::to_f32: set(out, interval::to_f32(a())); break;
      case Rule::to_bool: set(out, interval::to_bool(a())); break;
      case Rule::any_32_bits: set(out, IntRange{INT32_MIN, INT32_MAX}); break;
      case Rule::linear: set(out, linear_sum(step)); break;
      case Rule::linear_eq: set(out, interval::eq(linear_sum(step), {0, 0})); break;
      case Rule::linear_ne:
        set(out, interval::logical_not(interval::eq(linear_sum(step), {0, 0})));
        break;
      case Rule::linear_lt: set(out, interval::lt(linear_sum(step), {0, 0})); break;
      case Rule::linear_le: set(out, interval::le(linear_sum(step), {0, 0})); break;
      case Rule::match_eq: set(out, may_match(step) ? interval::eq(a(), b()) : kFalse); break;
      case Rule::match_ne:
        set(out, may_match(step) ? interval::logical_not(interval::eq(a(), b())) : kTrue);
        break;
      case Rule::find_eq: set(out, may_find(step) ? interval::eq(a(), b()) : kFalse); break;
      case Rule::find_ne:
        set(out, may_find(step) ? interval::logical_not(interval::eq(a(), b())) : kTrue);
        break;
      case Rule::floating: eval_floating(step); break;
    }
  }
}

IntRange IntervalProgram::linear_sum(const Step& step) const {
  IntRange sum = interval::bounded(step.number, step.number);
  for (int32_t i = 0; i < step.count; ++i) {
    const LinearForm::Term& term = terms_[static_cast<std::size_t>(step.first + i)];
    sum = interval::add(sum, interval::scale(ints(term.node), term.factor));
  }
  return sum;
}

KnownBits IntervalProgram::known_bits_of(NodeId id) const {
  const int32_t index = step_of_node_[static_cast<std::size_t>(id)];
  if (index >= 0 && is_bit_rule(steps_[static_cast<std::size_t>(index)].rule)) {
    return bits_[static_cast<std::size_t>(id)];
  }
  return KnownBits::of(ints(id));
}

void IntervalProgram::eval_bits(const Step& step) {
  const IntRange a = ints(step.a);
  const KnownBits a_bits = known_bits_of(step.a);
  IntRange b;
  KnownBits b_bits;
  if (step.b >= 0) {
    b = ints(step.b);
    b_bits = known_bits_of(step.b);
  }
  IntRange range;
  KnownBits bits;
  if (step.rule == Rule::bit_and) {
    range = interval::bit_and(a, b);
    bits = known_bits::bit_and(a_bits, b_bits);
  } else if (step.rule == Rule::bit_or) {
    range = interval::bit_or(a, b);
    bits = known_bits::bit_or(a_bits, b_bits);
  } else if (step.rule == Rule::bit_xor) {
    range = interval::bit_xor(a, b);
    bits = known_bits::bit_xor(a_bits, b_bits);
  } else if (step.rule == Rule::bit_not) {
    range = interval::bit_not(a);
    bits = known_bits::bit_not(a_bits);
  } else if (step.rule == Rule::shift_left) {
    range = interval::shift_left(a, b);
    bits = range.is_bounded() ? known_bits::shift_left(a_bits, b) : KnownBits{};
  } else {
    range = interval::shift_right(a, b);
    bits = known_bits::shift_right(a_bits, b);
  }
  range = interval::intersect(range, bits.range());
  bits_[static_cast<std::size_t>(step.out)] = bits.with(KnownBits::of(range));
  set(step.out, range);
}

bool IntervalProgram::may_match(const Step& step) const {
  return sets_[static_cast<std::size_t>(step.a)].set.intersects(
      sets_[static_cast<std::size_t>(step.b)].set);
}

bool IntervalProgram::may_find(const Step& step) const {
  const Values& read = sets_[static_cast<std::size_t>(step.a)];
  const IntRange common = interval::intersect(ints(step.a), ints(step.b));
  if (read.first >= read.last || common.lo > common.hi) return true;  // the ranges tell all
  return tables_->values(step.slot).holds(read.first, read.last, common.lo, common.hi);
}

// Without the element values.
void IntervalProgram::gather_unknown(const Step& step) {
  if (!sets_.empty()) {
    Values& values = sets_[static_cast<std::size_t>(step.out)];
    values.set = ValueSet::any();
    values.last = values.first - 1;
  }
  if (step.float_result) return set(step.out, interval::kAnyFloat);
  constexpr auto range = [](int64_t lo, int64_t hi) { return IntRange{lo, hi}; };
  switch (program_.captures()[static_cast<std::size_t>(step.slot)].dtype) {
    case DType::i32: return set(step.out, range(INT32_MIN, INT32_MAX));
    case DType::i16: return set(step.out, range(INT16_MIN, INT16_MAX));
    case DType::i8: return set(step.out, range(INT8_MIN, INT8_MAX));
    case DType::u8: return set(step.out, range(0, UINT8_MAX));
    case DType::boolean: return set(step.out, kAnyBool);
    case DType::i64:
    case DType::f64:
    case DType::f32:
    case DType::bf16:
    case DType::f16: return set(step.out, kAnyInt);
  }
}

void IntervalProgram::eval_gather(const Step& step) {
  const TensorView& tensor = program_.captures()[static_cast<std::size_t>(step.slot)];
  const Contents contents =
      contents_.empty() ? Contents::tables : contents_[static_cast<std::size_t>(step.out)];
  const NodeId* indices = program_.graph().operands.data() + step.first;
  int64_t first = 0;  // positions in row-major order
  int64_t last = 0;
  int64_t offset = 0;  // of the first, in memory
  for (int d = 0; d < tensor.rank(); ++d) {
    const int64_t size = tensor.size(d);
    const IntRange index = d < step.count ? ints(indices[d]) : IntRange{0, size - 1};
    if (index.lo < 0 || index.hi >= size) return gather_unknown(step);
    first = first * size + index.lo;
    last = last * size + index.hi;
    offset += index.lo * tensor.stride(d);
  }
  if (contents == Contents::by_dtype || step.number == 0) return gather_unknown(step);
  if (step.float_result) {
    if (first == last) return set(step.out, interval::point(load_float(tensor, offset)));
    return set(step.out, contents == Contents::scan
                             ? scan_floats(tensor, first, last)
                             : tables_->floats(step.slot).query(first, last));
  }
  if (!sets_.empty()) {
    sets_[static_cast<std::size_t>(step.out)].first = first;
    sets_[static_cast<std::size_t>(step.out)].last = last;
  }
  const bool wants_set = !sets_.empty() && sets_[static_cast<std::size_t>(step.out)].wanted;
  if (first == last) {
    const int64_t value = load_int(tensor, offset);
    if (wants_set) sets_[static_cast<std::size_t>(step.out)].set = ValueSet::of(value);
    return set(step.out, interval::bounded(value, value));
  }
  if (contents == Contents::scan) return set(step.out, scan_ints(tensor, first, last));
  const IntSummary summary = tables_->ints(step.slot).query(first, last);
  if (wants_set) sets_[static_cast<std::size_t>(step.out)].set = summary.set;
  set(step.out, summary.range());
}

}  // namespace fovea::analysis
