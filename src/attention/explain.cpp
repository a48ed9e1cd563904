// SPDX-License-Identifier: Apache-2.0
#include "attention/explain.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>

#include "analysis/dependence.h"
#include "analysis/joint_classes.h"
#include "attention/advice.h"
#include "attention/causal.h"
#include "program/graph.h"
#include "program/print_joint.h"
#include "program/simplify.h"

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

std::string range(int64_t least, int64_t most) {
  return std::to_string(least) + " to " + std::to_string(most);
}

// A tensor as the caller has it: what every sequence shares is of batch 1.
std::string shape_of(const Problem& p, const TensorView& tensor) {
  Dims sizes = tensor.sizes;
  if (!p.sequences.empty() && tensor.stride(0) == 0) sizes[0] = 1;
  return to_string(sizes);
}

void describe_sequences(std::ostream& out, const Problem& p) {
  if (p.sequences.empty()) return;
  const auto [q_least, q_most] = std::ranges::minmax(p.sequences, {}, &Sequence::q_len);
  const auto [kv_least, kv_most] = std::ranges::minmax(p.sequences, {}, &Sequence::kv_len);
  out << "sequences: " << p.batch << " of " << range(q_least.q_len, q_most.q_len) << " queries and "
      << range(kv_least.kv_len, kv_most.kv_len) << " keys\n";
  if (!p.page_table) return;
  out << "pages of " << p.page_size << " keys, " << p.key.size(0) << " of them; page_table "
      << to_string(p.page_table->sizes) << " " << name_of(p.page_table->dtype) << "\n";
}

// Shapes, programs, mask, and what they cost: of either direction.
template <class P>
void describe_problem(std::ostream& out, const Problem& p, const Problem& simplified,
                      const P& cost) {
  const auto tensor = [&](const char* name, const TensorView& view) {
    return std::string(name) + " " + shape_of(p, view) + " " + name_of(view.dtype);
  };
  out << tensor("query", p.query) << tensor(", key", p.key) << tensor(", value", p.value)
      << tensor(", out", p.out) << (p.lse ? tensor(", lse", *p.lse) : "") << "\n"
      << "scale " << p.scale << ", query heads per key head " << p.group() << "\n";
  describe_sequences(out, p);
  describe(out, "score_mod", p.score_mod, simplified.score_mod);
  if (p.weight_mod) describe(out, "weight_mod", p.weight_mod, simplified.weight_mod);
  describe(out, "mask_mod", p.mask_mod, simplified.mask_mod);
  if (p.causal != Causal::none) {
    out << "causal: " << name_of(p.causal) << ", "
        << (p.block_mask ? "a part of the block mask\n" : "hides nothing\n");
  }
  describe_mask(out, p.block_mask);
  if (const std::string advice = advise(p.block_mask); !advice.empty()) {
    out << "advice: " << advice << "\n";
  }
  out << cost_guess(cost) << "\n";
}

template <class P>
void describe_backend(std::ostream& out, const Backend& backend, const std::string& text,
                      const P& problem, const BackendRegistry& backends) {
  out << "backend: " << backend.info().name << "\n" << indent(text);
  for (const Refusal& refusal : refusals(backends, problem)) {
    out << "not " << refusal.backend << ": " << refusal.reason << "\n";
  }
}

void describe_workspace(std::ostream& out, std::size_t bytes, const Executor& executor) {
  out << "workspace: " << bytes << " bytes, threads: " << executor.num_threads() << "\n";
}

// Where the gradient of a captured tensor comes from, by its slot in the mod as traced.
std::string source_of(const Program& traced, const program::Simplified& simplified,
                      const program::JointProgram& joint, int32_t slot) {
  const auto& slots = simplified.captures;
  const auto at = std::find(slots.begin(), slots.end(), slot);
  const auto here = static_cast<int32_t>(at - slots.begin());
  for (const auto& c : joint.captures) {
    if (c.slot == here) return "d t" + std::to_string(here);
  }
  std::string text = "0, because ";
  const auto ops = program::stopping_ops(traced.graph(), slot);
  if (at == slots.end() || ops.empty()) return text + "the result does not depend on it";
  text += "there is no gradient through ";
  const char* separator = "";
  for (const program::Op op : ops) {
    text += separator;
    text += program::name_of(op);
    separator = ", ";
  }
  return text;
}

void describe_joint(std::ostream& out, const char* name, const Program& traced,
                    const Program& simplified, const program::JointProgram* joint,
                    const std::vector<TensorView>& gradients) {
  if (joint == nullptr) return;
  std::vector<std::string> notes;
  for (const auto& c : analysis::classify(*joint)) notes.push_back(analysis::describe(c));
  out << name << ", its derivative:\n"
      << indent(program::print_joint(*joint, simplified.params(), notes));
  const program::Simplified slots = program::simplify_graph(traced.graph());
  for (std::size_t slot = 0; slot < gradients.size(); ++slot) {
    if (!gradients[slot]) continue;
    out << "gradient of t" << slot << " of " << name
        << ", as traced: " << source_of(traced, slots, *joint, static_cast<int32_t>(slot)) << "\n";
  }
}

std::string wanted_of(const BackwardProblem& b) {
  std::string text;
  const auto add = [&](bool wanted, const char* name) {
    if (wanted) text += (text.empty() ? "" : ", ") + std::string(name);
  };
  const auto any = [](const std::vector<TensorView>& views) {
    return std::any_of(views.begin(), views.end(), [](const auto& view) { return bool(view); });
  };
  add(bool(b.dquery), "query");
  add(bool(b.dkey), "key");
  add(bool(b.dvalue), "value");
  add(b.dsinks.has_value(), "sinks");
  add(any(b.score_captures), "captures of score_mod");
  add(any(b.weight_captures), "captures of weight_mod");
  return text.empty() ? "none" : text;
}

}  // namespace

std::string explain(const Problem& p, const Choice& choice, const BackendRegistry& backends,
                    const Executor& executor) {
  std::ostringstream out;
  describe_problem(out, p, choice.problem, choice.problem);
  describe_backend(out, *choice.backend,
                   choice.plan->describe() + choice.backend->describe(choice.problem), p, backends);
  describe_workspace(out, choice.backend->workspace_bytes(*choice.plan, choice.problem, executor),
                     executor);
  return out.str();
}

std::string explain(const BackwardProblem& b, const BackwardChoice& choice,
                    const BackendRegistry& backends, const Executor& executor) {
  std::ostringstream out;
  out << "gradients wanted: " << wanted_of(b) << (b.dlse ? "; d loss / d lse given" : "") << "\n";
  const Problem &traced = b.forward, &simplified = choice.problem.forward;
  describe_problem(out, traced, simplified, choice.problem);
  describe_joint(out, "score_mod", traced.score_mod, simplified.score_mod,
                 choice.problem.score_joint.get(), b.score_captures);
  describe_joint(out, "weight_mod", traced.weight_mod, simplified.weight_mod,
                 choice.problem.weight_joint.get(), b.weight_captures);
  describe_backend(out, *choice.backend, choice.plan->describe(), b, backends);
  describe_workspace(
      out, choice.backend->backward_workspace_bytes(*choice.plan, choice.problem, executor),
      executor);
  return out.str();
}

}  // namespace fovea::attention
