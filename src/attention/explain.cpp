// SPDX-License-Identifier: Apache-2.0
#include "attention/explain.h"

#include <array>
#include <cstdio>
#include <sstream>

#include "analysis/dependence.h"
#include "attention/advice.h"
#include "program/graph.h"

namespace fovea::attention {
namespace {

std::string indent(const std::string& text) {
  std::string result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) result += "  " + line + "\n";
  return result;
}

std::string percent(double part, double whole) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %%", whole > 0 ? 100 * part / whole : 0);
  return text.data();
}

// How many nodes fall into each class: what below `tile` leaves the inner loop.
std::string classes_of(const Program& program) {
  const program::Graph& graph = program.graph();
  std::array<int, 5> counts{};
  const auto classes = analysis::dependence(graph);
  for (program::NodeId id = 0; id < graph.size(); ++id) {
    if (program::arity_of(graph[id].op) == 0) continue;  // inputs and literals cost nothing
    ++counts[static_cast<std::size_t>(classes[static_cast<std::size_t>(id)].shape)];
  }
  std::string text;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    text += std::string(text.empty() ? "" : ", ") +
            analysis::name_of(static_cast<analysis::ShapeClass>(i)) + " " +
            std::to_string(counts[i]);
  }
  return text;
}

void describe(std::ostream& out, const char* name, const Program& traced,
              const Program& simplified) {
  if (!traced) {
    out << name << ": none\n";
    return;
  }
  out << name << ", as traced:\n" << indent(traced.to_string());
  if (traced.structure() == simplified.structure()) {
    out << name << ", simplified: the same\n";
  } else {
    out << name << ", simplified:\n" << indent(simplified.to_string());
  }
  out << name << ", operations by shape class: " << classes_of(simplified) << "\n";
}

void describe_mask(std::ostream& out, const BlockMask& mask) {
  if (!mask) {
    out << "block_mask: none, every query attends to every key\n";
    return;
  }
  const BlockCounts counts = mask.counts();
  const auto total = static_cast<double>(counts.total());
  out << "block_mask: blocks of " << mask.block_size().q << " x " << mask.block_size().kv
      << ", planes " << mask.batch() << " x " << mask.heads() << "; full " << counts.full << " ("
      << percent(static_cast<double>(counts.full), total) << "), partial " << counts.partial << " ("
      << percent(static_cast<double>(counts.partial), total) << "), skipped " << counts.skipped
      << " (" << percent(static_cast<double>(counts.skipped), total) << ")\n";
}

}  // namespace

std::string explain(const Problem& p, const Choice& choice, const BackendRegistry& backends,
                    const Executor& executor) {
  std::ostringstream out;
  out << "query " << to_string(p.query.sizes) << " " << name_of(p.query.dtype) << ", key "
      << to_string(p.key.sizes) << ", value " << to_string(p.value.sizes) << ", out "
      << to_string(p.out.sizes) << (p.lse ? ", lse " + to_string(p.lse->sizes) : "") << "\n"
      << "scale " << p.scale << ", query heads per key head " << p.group() << "\n";
  describe(out, "score_mod", p.score_mod, choice.problem.score_mod);
  if (p.weight_mod) describe(out, "weight_mod", p.weight_mod, choice.problem.weight_mod);
  describe(out, "mask_mod", p.mask_mod, choice.problem.mask_mod);
  describe_mask(out, p.block_mask);
  if (const std::string advice = advise(p.block_mask); !advice.empty()) {
    out << "advice: " << advice << "\n";
  }
  out << cost_guess(choice.problem) << "\n";
  out << "backend: " << choice.backend->info().name << "\n" << indent(choice.plan->describe());
  for (const Refusal& refusal : refusals(backends, p)) {
    out << "not " << refusal.backend << ": " << refusal.reason << "\n";
  }
  out << "workspace: " << choice.backend->workspace_bytes(*choice.plan, choice.problem, executor)
      << " bytes, threads: " << executor.num_threads() << "\n";
  return out.str();
}

}  // namespace fovea::attention
