// SPDX-License-Identifier: Apache-2.0
#include "mask/leaf_classifier.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "program/graph.h"

namespace fovea::mask {

using analysis::Axes;
using analysis::Box;
using analysis::kAxisKv;
using analysis::kAxisQ;
using analysis::Verdict;

namespace {

constexpr Axes kBoth = kAxisQ | kAxisKv;
constexpr int64_t kChunk = 256;           // elements between two looks at what was seen
constexpr int64_t kSmallBox = 64;         // elements that are evaluated rather than split
constexpr int64_t kRefineBudget = 64;     // boxes, before a block is evaluated row by row
constexpr int64_t kElementsPerCut = 256;  // large blocks may take more
constexpr std::size_t kMaxPlaces = 6;
constexpr int64_t kMaxMemo = int64_t{1} << 24;

int64_t height_of(const Box& box) { return box.q1 - box.q0 + 1; }
int64_t width_of(const Box& box) { return box.kv1 - box.kv0 + 1; }
int64_t area_of(const Box& box) {
  int64_t area = 0;
  const bool overflows = __builtin_mul_overflow(height_of(box), width_of(box), &area);
  return overflows ? std::numeric_limits<int64_t>::max() : area;
}

// The same mask with the roles of q and kv exchanged: its rows are this one's columns.
Program exchange_axes(const Program& program) {
  auto graph = std::make_shared<program::Graph>(program.graph());
  constexpr auto kQ = static_cast<int32_t>(program::Input::q);
  constexpr auto kKv = static_cast<int32_t>(program::Input::kv);
  for (program::Node& node : graph->nodes) {
    if (node.op != program::Op::input || (node.slot != kQ && node.slot != kKv)) continue;
    node.slot = node.slot == kQ ? kKv : kQ;
  }
  const auto params = program.params();
  const auto captures = program.captures();
  return Program(std::move(graph), {params.begin(), params.end()},
                 {captures.begin(), captures.end()});
}

}  // namespace

LeafClassifier::LeafClassifier(const Program& simplified, analysis::Bounds& bounds, bool diagonal,
                               const BlockMaskOptions& options)
    : program_(simplified),
      bounds_(bounds),
      diagonal_(diagonal),
      options_(options),
      rows_(program_),
      diagonal_step_(std::gcd(options.block_size.q, options.block_size.kv)) {
  const int64_t last_q = options.block_size.q - 1;
  const int64_t last_kv = options.block_size.kv - 1;
  places_ = {{0, 0}, {0, last_kv}, {last_q, 0}, {last_q, last_kv}};
}

void LeafClassifier::start_plane() {
  for (auto& table : memo_) table.clear();
}

int64_t LeafClassifier::evaluations() const noexcept {
  return probes_ + rows_.elements_evaluated() + (columns_ ? columns_->elements_evaluated() : 0);
}

Verdict LeafClassifier::classify_strip(const Box& box, Axes open) {
  ++leaves_;
  Seen seen;
  evaluate(box, open, seen);
  return seen.verdict();
}

Verdict LeafClassifier::classify_block(const Box& box) {
  ++leaves_;
  if (diagonal_) return classify_diagonal(box);
  Seen seen;
  if (probe(box, seen)) return Verdict::mixed;
  const Verdict verdict = bounds_.verdict(box);  // again, for the axes
  if (verdict != Verdict::mixed) return verdict;
  int64_t budget = std::max(kRefineBudget, area_of(box) / kElementsPerCut);
  if (!refine(box, openness(), budget, seen)) {
    for (int64_t q = box.q0; q <= box.q1 && !seen.both(); ++q) evaluate_row(box, q, seen);
  }
  if (seen.both()) {
    remember(box, *seen.yes);
    remember(box, *seen.no);
  }
  return seen.verdict();
}

Verdict LeafClassifier::classify_diagonal(const Box& box) {
  const bool short_rows = height_of(box) < options_.block_size.q;
  const bool short_columns = width_of(box) < options_.block_size.kv;
  auto& memo = memo_[(short_rows ? 1 : 0) + (short_columns ? 2 : 0)];
  const int64_t size = (options_.q_len + options_.kv_len) / diagonal_step_ + 1;
  if (size > kMaxMemo) return evaluate_diagonal(box);
  if (memo.empty()) memo.resize(static_cast<std::size_t>(size), 0);
  uint8_t& known =
      memo[static_cast<std::size_t>((box.q0 - box.kv0 + options_.kv_len) / diagonal_step_)];
  if (known == 0) known = static_cast<uint8_t>(1 + static_cast<int>(evaluate_diagonal(box)));
  return static_cast<Verdict>(known - 1);
}

// Every q - kv of the box stands in one row, if that row is as long as both sides together.
Verdict LeafClassifier::evaluate_diagonal(const Box& box) {
  Box row = box;
  row.kv1 = box.kv1 + (box.q1 - box.q0);
  Seen seen;
  evaluate_row(row, box.q1, seen);
  return seen.verdict();
}

// Masks repeat: where earlier blocks showed a true or a false, this one may too.
bool LeafClassifier::probe(const Box& box, Seen& seen) {
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const Place place = places_[i];
    if (place.q >= height_of(box) || place.kv >= width_of(box)) continue;
    Box point = box;
    point.q0 = point.q1 = box.q0 + place.q;
    point.kv0 = point.kv1 = box.kv0 + place.kv;
    ++probes_;
    const Verdict verdict = bounds_.verdict(point);
    if (verdict == Verdict::mixed) continue;
    seen.add(verdict == Verdict::all, {point.q0, point.kv0});
    if (!seen.both()) continue;
    if (i >= 2) std::swap(places_[i], places_[i - 1]);  // the useful ones come first, in time
    return true;
  }
  return false;
}

// Splits inside a block. False: the budget is spent and the answer still open.
bool LeafClassifier::refine(const Box& box, Openness open, int64_t& budget, Seen& seen) {
  const int64_t height = height_of(box);
  const int64_t width = width_of(box);
  if ((open.all & kBoth) != kBoth || area_of(box) <= kSmallBox) {
    evaluate(box, open.all, seen);
    return true;
  }
  struct Part {
    Box box;
    Openness open;
  };
  std::array<Part, 4> undecided;
  std::size_t count = 0;
  const int64_t middle_q = box.q0 + ((open.narrow & kAxisQ) != 0 ? height / 2 : height);
  const int64_t middle_kv = box.kv0 + ((open.narrow & kAxisKv) != 0 ? width / 2 : width);
  for (int i = 0; i < 4; ++i) {
    Box part = box;
    (i < 2 ? part.q1 : part.q0) = i < 2 ? middle_q - 1 : middle_q;
    (i % 2 == 0 ? part.kv1 : part.kv0) = i % 2 == 0 ? middle_kv - 1 : middle_kv;
    if (part.is_empty()) continue;
    if (--budget < 0) return false;
    ++boxes_;
    const Verdict verdict = bounds_.verdict(part);
    if (verdict == Verdict::mixed) {
      undecided[count++] = {part, openness()};
      continue;
    }
    seen.add(verdict == Verdict::all, {part.q0, part.kv0});
    if (seen.both()) return true;
  }
  for (std::size_t i = 0; i < count && !seen.both(); ++i) {
    if (!refine(undecided[i].box, undecided[i].open, budget, seen)) return false;
  }
  return true;
}

void LeafClassifier::evaluate(const Box& box, Axes open, Seen& seen) {
  if ((open & kAxisKv) == 0) {
    Box column = box;
    column.kv1 = box.kv0;
    if ((open & kAxisQ) == 0) return evaluate_row(column, box.q0, seen);
    return evaluate_column(column, seen);
  }
  const int64_t last = (open & kAxisQ) == 0 ? box.q0 : box.q1;
  for (int64_t q = box.q0; q <= last && !seen.both(); ++q) evaluate_row(box, q, seen);
}

void LeafClassifier::evaluate_row(const Box& box, int64_t q, Seen& seen) {
  for (int64_t kv = box.kv0; kv <= box.kv1 && !seen.both(); kv += kChunk) {
    const auto values = rows_.run_mask(box.b0, box.h0, q, kv, std::min(kChunk, box.kv1 - kv + 1));
    for (const bool wanted : {true, false}) {
      const auto found = std::find(values.begin(), values.end(), static_cast<uint8_t>(wanted));
      if (found != values.end()) seen.add(wanted, {q, kv + (found - values.begin())});
    }
  }
}

void LeafClassifier::evaluate_column(const Box& box, Seen& seen) {
  if (!columns_) columns_ = std::make_unique<program::RowInterpreter>(exchange_axes(program_));
  for (int64_t q = box.q0; q <= box.q1 && !seen.both(); q += kChunk) {
    const auto values =
        columns_->run_mask(box.b0, box.h0, box.kv0, q, std::min(kChunk, box.q1 - q + 1));
    for (const bool wanted : {true, false}) {
      const auto found = std::find(values.begin(), values.end(), static_cast<uint8_t>(wanted));
      if (found != values.end()) seen.add(wanted, {q + (found - values.begin()), box.kv0});
    }
  }
}

void LeafClassifier::remember(const Box& box, Place place) {
  const Place inside{place.q - box.q0, place.kv - box.kv0};
  const auto found = std::find(places_.begin(), places_.end(), inside);
  if (found != places_.end()) {
    places_.erase(found);
  } else if (places_.size() == kMaxPlaces) {
    places_.pop_back();
  }
  places_.insert(places_.begin(), inside);
}

}  // namespace fovea::mask
