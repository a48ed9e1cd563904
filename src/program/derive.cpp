// SPDX-License-Identifier: Apache-2.0
#include "program/derive.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/fail.h"
#include "program/builder.h"
#include "program/canonical.h"
#include "program/derive_rules.h"
#include "program/fold.h"
#include "program/print_joint.h"
#include "program/simplify.h"

namespace fovea::program {

namespace {

bool contains(const std::vector<int32_t>& slots, int32_t slot) {
  return std::find(slots.begin(), slots.end(), slot) != slots.end();
}

void check_slot(const char* what, int32_t slot, std::size_t count) {
  if (slot >= 0 && static_cast<std::size_t>(slot) < count) return;
  core::fail_argument("derive", std::string(what) + " that wants a gradient",
                      "a slot below " + std::to_string(count), std::to_string(slot));
}

void check_wanted(const Graph& graph, const Wanted& wanted) {
  if (graph.kind == ModKind::mask) {
    core::fail_argument("derive", "program", "a score_mod or weight_mod", "a mask_mod");
  }
  for (const int32_t slot : wanted.captures) {
    check_slot("captured tensor", slot, graph.captures.size());
    const DType dtype = graph.captures[static_cast<std::size_t>(slot)].dtype;
    if (scalar_type_of(dtype) == ScalarType::f32) continue;
    core::fail_argument("derive", "captured tensor t" + std::to_string(slot) + " wants a gradient",
                        "a floating-point dtype", name_of(dtype));
  }
  for (const int32_t slot : wanted.params) {
    check_slot("parameter", slot, graph.params.size());
    const ScalarType type = graph.params[static_cast<std::size_t>(slot)];
    if (type == ScalarType::f32) continue;
    core::fail_argument("derive", "parameter p" + std::to_string(slot) + " wants a gradient", "f32",
                        name_of(type));
  }
}

class Derivation {
 public:
  Derivation(const Graph& graph, const Wanted& wanted)
      : wanted_(wanted), builder_(graph.kind), rewriter_(builder_), rules_(builder_, rewriter_) {
    root_ = rebuild_simplified(graph, builder_, rewriter_);
  }

  JointProgram run() {
    find_needs();
    adjoints_.resize(needs_.size());
    if (needs(root_)) adjoint(root_) = {builder_.input(Input::dout)};
    for (NodeId id = root_; id >= 0; --id) {
      if (adjoint(id)) visit(id);
    }
    // Found from the last read to the first.
    std::reverse(joint_.captures.begin(), joint_.captures.end());
    std::reverse(joint_.params.begin(), joint_.params.end());
    joint_.dscore = rules_.selected(dscore_);
    finish();
    return std::move(joint_);
  }

 private:
  bool needs(NodeId id) const { return needs_[static_cast<std::size_t>(id)]; }
  Adjoint& adjoint(NodeId id) { return adjoints_[static_cast<std::size_t>(id)]; }
  const Graph& graph() const { return builder_.graph(); }

  // Which nodes hand a gradient to something that wants one.
  void find_needs() {
    for (NodeId id = 0; id <= root_; ++id) {
      const Node& node = graph()[id];
      bool here = node.op == Op::input && static_cast<Input>(node.slot) == Input::score;
      if (node.op == Op::gather) here = contains(wanted_.captures, node.slot);
      if (node.op == Op::param) here = contains(wanted_.params, node.slot);
      if (node.op != Op::gather && node.type == ScalarType::f32 &&
          gradient_of(node.op) == Gradient::flows) {
        for (const NodeId arg : graph().args(node)) here = here || needs(arg);
      }
      needs_.push_back(here);
    }
  }

  void visit(NodeId id) {
    const Node node = graph()[id];
    const Adjoint here = adjoint(id);
    if (node.op == Op::input) {
      dscore_ = here;
    } else if (node.op == Op::gather) {
      const auto index = graph().args(node);
      contribute(joint_.captures, node.slot, {index.begin(), index.end()}, here);
    } else if (node.op == Op::param) {
      contribute(joint_.params, node.slot, {}, here);
    } else {
      for (std::size_t i = 0; i < static_cast<std::size_t>(node.count); ++i) {
        const NodeId arg = graph().args(node)[i];
        if (!needs(arg)) continue;
        const Adjoint handed = rules_.of_operand(id, i, here.value);
        if (!handed) continue;
        adjoint(arg) = rules_.sum(adjoint(arg), rules_.guarded(handed, here.guard));
      }
    }
  }

  void contribute(std::vector<JointProgram::Contribution>& to, int32_t slot,
                  std::vector<NodeId> index, const Adjoint& adjoint) {
    to.push_back({slot, std::move(index), rules_.selected(adjoint), adjoint.guard});
  }

  template <class F>
  void for_each_output(F&& f) {
    f(root_);
    f(joint_.dscore);
    for (auto* list : {&joint_.captures, &joint_.params}) {
      for (JointProgram::Contribution& c : *list) {
        for (NodeId& index : c.index) f(index);
        f(c.value);
        if (c.guard >= 0) f(c.guard);
      }
    }
  }

  void finish() {
    std::vector<NodeId> outputs;
    for_each_output([&](NodeId id) { outputs.push_back(id); });
    auto compacted = std::make_shared<Graph>(compact(graph(), outputs));
    std::size_t next = 0;
    for_each_output([&](NodeId& id) { id = outputs[next++]; });
    compacted->root = root_;
    joint_.graph = compacted;
    compacted->text = print_joint(joint_);
    compacted->hash = hash_text(compacted->text);
  }

  const Wanted& wanted_;
  Builder builder_;
  Rewriter rewriter_;
  DerivativeRules rules_;
  NodeId root_ = -1;
  std::vector<bool> needs_;        // of the nodes up to the root, as are
  std::vector<Adjoint> adjoints_;  // these
  Adjoint dscore_;
  JointProgram joint_;
};

}  // namespace

Wanted all_captures(const Graph& graph) {
  Wanted wanted;
  for (std::size_t slot = 0; slot < graph.captures.size(); ++slot) {
    if (scalar_type_of(graph.captures[slot].dtype) != ScalarType::f32) continue;
    wanted.captures.push_back(static_cast<int32_t>(slot));
  }
  return wanted;
}

JointProgram derive(const Graph& graph, const Wanted& wanted) {
  check_wanted(graph, wanted);
  return Derivation(graph, wanted).run();
}

Program output_program(const JointProgram& joint, NodeId output, const Program& original) {
  auto graph = std::make_shared<Graph>(*joint.graph);
  graph->root = output;
  const Program bound(std::move(graph), {original.params().begin(), original.params().end()},
                      {original.captures().begin(), original.captures().end()});
  Builder builder(original.kind());
  std::array<NodeId, kInputs> inputs;
  inputs.fill(-1);
  inputs[static_cast<std::size_t>(Input::dout)] = builder.constant(make_float(1));
  return simplify(builder.finish(builder.import(bound, inputs)));
}

Program derivative_of(const Program& mod) {
  const JointProgram joint = derive(mod.graph(), {});
  return output_program(joint, joint.dscore, mod);
}

std::vector<Op> stopping_ops(const Graph& graph, int32_t capture) {
  std::vector<Op> ops;
  std::vector<bool> carries;
  for (const Node& node : graph.nodes) {
    bool reached = node.op == Op::gather && node.slot == capture;
    bool here = reached;
    for (const NodeId arg : graph.args(node)) {
      if (!carries[static_cast<std::size_t>(arg)]) continue;
      reached = true;
      here = node.type == ScalarType::f32 && gradient_of(node.op) == Gradient::flows;
    }
    carries.push_back(here);
    const bool stops = reached && !here;
    if (stops && std::find(ops.begin(), ops.end(), node.op) == ops.end()) ops.push_back(node.op);
  }
  return ops;
}

}  // namespace fovea::program
