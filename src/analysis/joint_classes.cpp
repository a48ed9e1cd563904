// SPDX-License-Identifier: Apache-2.0
#include "analysis/joint_classes.h"

#include <span>

#include <fovea/program.h>
#include "program/print_joint.h"

namespace fovea::analysis {
namespace {

using program::JointProgram;
using program::NodeId;
using Contribution = JointProgram::Contribution;

// Do two integers that are linear in q and kv tell any two elements apart?
bool tell_apart(const PlaneForm& a, const PlaneForm& b) {
  if (!a.known || !b.known || a.unit != -1 || b.unit != -1) return false;
  constexpr int64_t kSmall = int64_t{1} << 30;  // the products must not overflow
  for (const int64_t factor : {a.q, a.kv, b.q, b.kv}) {
    if (factor < -kSmall || factor > kSmall) return false;
  }
  return a.q * b.kv != a.kv * b.q;
}

IndexClass index_class(const std::vector<Dependence>& nodes, const Contribution& c) {
  const auto of = [&](NodeId id) -> const Dependence& {
    return nodes[static_cast<std::size_t>(id)];
  };
  ShapeClass shape = ShapeClass::scalar;
  for (const NodeId index : c.index) shape = join(shape, of(index).shape);
  switch (shape) {
    case ShapeClass::scalar: return IndexClass::scalar;
    case ShapeClass::row: return IndexClass::row;
    case ShapeClass::column: return IndexClass::column;
    case ShapeClass::diagonal: return IndexClass::diagonal;
    case ShapeClass::tile: break;
  }
  for (std::size_t i = 0; i < c.index.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (tell_apart(of(c.index[i]).form, of(c.index[j]).form)) return IndexClass::tile;
    }
  }
  return IndexClass::gathered;
}

ContributionClass classify_one(const std::vector<Dependence>& nodes, const Contribution& c) {
  ContributionClass result;
  result.index = index_class(nodes, c);
  for (const NodeId index : c.index) {
    result.reads_b |= nodes[static_cast<std::size_t>(index)].b;
    result.reads_h |= nodes[static_cast<std::size_t>(index)].h;
  }
  result.value = nodes[static_cast<std::size_t>(c.value)].shape;
  return result;
}

// The captures whose gradient stays 0, and why.
std::string without_gradient(const Program& mod, const JointProgram& joint) {
  std::string text;
  for (const int32_t slot : program::all_captures(mod.graph()).captures) {
    bool found = false;
    for (const Contribution& c : joint.captures) found |= c.slot == slot;
    if (found) continue;
    text += "\nd t" + std::to_string(slot) + " = 0, because there is no gradient through ";
    const char* separator = "";
    for (const program::Op op : program::stopping_ops(mod.graph(), slot)) {
      text += separator;
      text += program::name_of(op);
      separator = ", ";
    }
  }
  return text;
}

}  // namespace

const char* name_of(IndexClass index) noexcept {
  switch (index) {
    case IndexClass::scalar: return "scalar";
    case IndexClass::row: return "row";
    case IndexClass::column: return "column";
    case IndexClass::diagonal: return "diagonal";
    case IndexClass::tile: return "tile";
    case IndexClass::gathered: return "gathered";
  }
  return "?";
}

std::vector<ContributionClass> classify(const JointProgram& joint) {
  const std::vector<Dependence> nodes = dependence(*joint.graph);
  std::vector<ContributionClass> classes;
  for (const auto* list : {&joint.captures, &joint.params}) {
    for (const Contribution& c : *list) classes.push_back(classify_one(nodes, c));
  }
  return classes;
}

std::string describe(const ContributionClass& c) {
  std::string text = name_of(c.index);
  if (c.reads_b || c.reads_h) text += " per ";
  if (c.reads_b) text += c.reads_h ? "batch and " : "batch";
  if (c.reads_h) text += "head";
  return text + ", value " + name_of(c.value);
}

}  // namespace fovea::analysis

namespace fovea {

std::string derivative_text(const Program& mod) {
  const program::JointProgram joint =
      program::derive(mod.graph(), program::all_captures(mod.graph()));
  std::vector<std::string> notes;
  for (const auto& c : analysis::classify(joint)) notes.push_back(analysis::describe(c));
  return program::print_joint(joint, mod.params(), notes) + analysis::without_gradient(mod, joint);
}

}  // namespace fovea
