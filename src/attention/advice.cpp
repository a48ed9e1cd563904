// SPDX-License-Identifier: Apache-2.0
#include "attention/advice.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <vector>

#include "analysis/dependence.h"
#include "program/graph.h"
#include "program/interpret.h"

namespace fovea::attention {
namespace {

using analysis::ShapeClass;
using program::Graph;
using program::Node;
using program::NodeId;
using program::Op;

constexpr int64_t kSampledBlocks = 32;
constexpr int64_t kSampledRows = 16;       // of each
constexpr double kWorthSaying = 0.5;       // of the computed scores are used
constexpr int64_t kFewBlocks = 16;         // too small to matter
constexpr int64_t kMostEntries = 1 << 20;  // partial runs that are walked to find the sample

struct BlockPlace {
  int64_t b = 0, h = 0, row = 0, column = 0;
};

// Evenly over all partial blocks.
std::vector<BlockPlace> sample_partial(const BlockMask& mask) {
  const int64_t step = std::max<int64_t>(1, mask.counts().partial / kSampledBlocks);
  std::vector<BlockPlace> places;
  int64_t next = step / 2, seen = 0, entries = 0;
  for (int64_t b = 0; b < mask.batch(); ++b) {
    for (int64_t h = 0; h < mask.heads(); ++h) {
      for (int64_t row = 0; row < mask.rows(); ++row) {
        for (const BlockRun& run : mask.partial(b, h, row)) {
          if (++entries > kMostEntries) return places;
          for (; next < seen + (run.end - run.begin); next += step) {
            places.push_back({b, h, row, run.begin + (next - seen)});
          }
          seen += run.end - run.begin;
        }
      }
    }
  }
  return places;
}

double density_of(const BlockMask& mask, const std::vector<BlockPlace>& places) {
  program::RowInterpreter rows(mask.mask_mod());
  const BlockSize size = mask.block_size();
  int64_t all = 0, allowed = 0;
  for (const BlockPlace& place : places) {
    const int64_t q_end = std::min(mask.q_len(), (place.row + 1) * size.q);
    const int64_t first = place.column * size.kv;
    const int64_t count = std::min(size.kv, mask.kv_len() - first);
    const int64_t step = std::max<int64_t>(1, size.q / kSampledRows);
    for (int64_t q = place.row * size.q; q < q_end; q += step) {
      const auto values = rows.run_mask(place.b, place.h, q, first, count);
      allowed += std::count_if(values.begin(), values.end(), [](uint8_t v) { return v != 0; });
      all += count;
    }
  }
  return all > 0 ? static_cast<double>(allowed) / static_cast<double>(all) : 1;
}

// The constant by which positions are divided or reduced, if there is one: the width of an image, or a
// dilation.
std::optional<int64_t> period_of(const Graph& graph) {
  std::optional<int64_t> period;
  for (const Node& node : graph.nodes) {
    if (node.op != Op::mod || node.type != ScalarType::i32) continue;
    const Node& divisor = graph[graph.args(node)[1]];
    if (divisor.op == Op::constant) period = std::max(period.value_or(0), divisor.literal.i);
  }
  return period;
}

bool can_be_read(const Program& program) {
  return std::all_of(program.captures().begin(), program.captures().end(), [](const auto& t) {
    return t.data != nullptr && t.device.type == DeviceType::cpu;
  });
}

std::string text_of(const char* format, double number) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, number);
  return text.data();
}

bool is_transcendental(Op op) {
  constexpr std::array kOps = {Op::exp, Op::exp2, Op::log, Op::log2, Op::tanh, Op::sigmoid,
                               Op::sin, Op::cos,  Op::erf, Op::pow,  Op::mod,  Op::gather};
  return std::find(kOps.begin(), kOps.end(), op) != kOps.end();
}

struct Operations {  // for each score
  int64_t cheap = 0, costly = 0;
  void operator+=(const Operations& other) {
    cheap += other.cheap;
    costly += other.costly;
  }
};

Operations tile_operations(const Graph& graph) {
  Operations result;
  const auto classes = analysis::dependence(graph);
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Op op = graph[id].op;
    if (program::arity_of(op) == 0) continue;
    if (classes[static_cast<std::size_t>(id)].shape != ShapeClass::tile) continue;
    ++(is_transcendental(op) ? result.costly : result.cheap);
  }
  return result;
}

Operations tile_operations(const Program& program) {
  return program ? tile_operations(program.graph()) : Operations{};
}

// In units of a cycle of two 8-lane multiply-adds, for 16 scores: measured on AVX2.
double cycles_of(const Operations& operations) {
  constexpr double kCheap = 3, kCostly = 16;
  return kCheap * static_cast<double>(operations.cheap) +
         kCostly * static_cast<double>(operations.costly);
}

// What of the plane is computed.
struct Computed {
  double scores = 0;
  double partial = 0;  // the share of partial blocks
};

Computed computed_scores(const Problem& p) {
  const auto planes = static_cast<double>(p.query.size(0) * p.query.size(1));
  Computed result;
  result.scores =
      planes * static_cast<double>(p.query.size(2)) * static_cast<double>(p.key.size(2));
  if (!p.block_mask || p.block_mask.counts().total() == 0) return result;
  const BlockCounts counts = p.block_mask.counts();
  const auto computed = static_cast<double>(counts.full + counts.partial);
  result.scores *= computed / static_cast<double>(counts.total());
  if (computed > 0) result.partial = static_cast<double>(counts.partial) / computed;
  return result;
}

// `dims`: multiply-adds of a score; `softmax`: what else it costs, in cycles.
std::string work_text(const Computed& computed, double dims, double softmax, const Operations& each,
                      const Problem& p) {
  const Operations mask = tile_operations(p.mask_mod);
  const double extra = cycles_of(each) + computed.partial * (cycles_of(mask) + 2);
  std::string text = "work: " + text_of("%.3g GFLOP", 2 * dims * computed.scores / 1e9) +
                     " of products in computed blocks; for each score the programs have " +
                     std::to_string(each.cheap + each.costly) + " operations";
  if (p.mask_mod) {
    text += ", and " + std::to_string(mask.cheap + mask.costly) + " in partial blocks";
  }
  return text + "; they add about " + text_of("%.0f %%", 100 * extra / (dims + softmax)) +
         " to the time (a guess)";
}

}  // namespace

std::string advise(const BlockMask& mask) {
  if (!mask || !mask.mask_mod() || !can_be_read(mask.mask_mod())) return "";
  const BlockCounts counts = mask.counts();
  const int64_t computed = counts.full + counts.partial;
  if (counts.partial < kFewBlocks || 2 * counts.partial < computed) return "";
  const double density = density_of(mask, sample_partial(mask));
  const double used =
      (static_cast<double>(counts.full) + static_cast<double>(counts.partial) * density) /
      static_cast<double>(computed);
  if (used >= kWorthSaying) return "";
  std::string text =
      "of the scores in computed blocks about " + text_of("%.1f %%", 100 * used) + " are used";
  const Program simplified = simplify(mask.mask_mod());
  const Graph& graph = simplified.graph();
  const auto period = period_of(graph);
  const auto root = analysis::dependence(graph)[static_cast<std::size_t>(graph.root)].shape;
  if (!period) {
    return text +
           "; smaller blocks, or an order of the tokens that puts those which see each "
           "other side by side, would compute fewer";
  }
  const std::string number = std::to_string(*period);
  if (root == ShapeClass::diagonal) {
    return text + "; with the tokens ordered by position % " + number +
           " (all of one remainder first), those which see each other are side by side";
  }
  return text + "; with the tokens of each row of " + number +
         " cut into square tiles (or along a Z-order curve), those which see each other are side "
         "by "
         "side (see the variants tiled_natten and morton_natten)";
}

std::string cost_guess(const Problem& p) {
  const Computed computed = computed_scores(p);
  const auto dims = static_cast<double>(p.head_dim + p.value_dim);
  Operations each = tile_operations(p.score_mod);
  each += tile_operations(p.weight_mod);
  constexpr double kSoftmax = 12;
  return work_text(computed, dims, kSoftmax, each, p);
}

std::string cost_guess(const BackwardProblem& b) {
  const Problem& p = b.forward;
  const Computed computed = computed_scores(p);
  // Scores, and the gradients of query and key; of the weights, and of value.
  const auto dims = static_cast<double>(3 * p.head_dim + 2 * p.value_dim);
  Operations each;
  std::size_t additions = 0;
  for (const auto& joint : {b.score_joint, b.weight_joint}) {
    if (!joint) continue;
    each += tile_operations(*joint->graph);
    additions += joint->captures.size();
  }
  constexpr double kSoftmax = 16;
  std::string text = work_text(computed, dims, kSoftmax, each, p);
  if (additions > 0) {
    text += "; captured tensors get " + std::to_string(additions) + " contributions from each";
  }
  return text;
}

}  // namespace fovea::attention
