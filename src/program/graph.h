// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <fovea/program.h>

/// The program graph: an immutable array of nodes in topological order (operands first), made by
/// Builder, hash-consed, in the canonical order of a depth-first walk from the root. It holds the
/// structure alone: the values of parameters and the memory of captures live in Program.
namespace fovea::program {

enum class Op : uint8_t {
#define FOVEA_OP(name, arity, rule, spelling, cuda) name,
#include "program/ops.def"
#undef FOVEA_OP
};

const char* name_of(Op op) noexcept;
int arity_of(Op op) noexcept;
const char* spelling_of(Op op) noexcept;
const char* cuda_of(Op op) noexcept;

enum class Input : uint8_t {
  score,  // what the mod changes: the score, or in a weight_mod the weight
  b,
  h,
  q,
  kv,
  dout,  // of a JointProgram alone: the gradient with respect to the mod's result
};
inline constexpr int kInputs = 6;
const char* name_of(Input input, ModKind kind) noexcept;

using NodeId = int32_t;

/// More nodes than this are refused, when a program is built and when it is read.
inline constexpr NodeId kMaxNodes = 65535;

struct Node {
  Op op = Op::constant;
  ScalarType type = ScalarType::i32;
  int32_t first = 0;  // operands: Graph::operands()[first, first + count)
  int32_t count = 0;
  int32_t slot = 0;  // input: Input; param: parameter slot; gather: capture slot
  Literal literal;   // constant: its value
};

/// What a program knows of a captured tensor; the sizes are not part of the structure.
struct CaptureSignature {
  DType dtype = DType::f32;
  int rank = 0;
  friend bool operator==(const CaptureSignature&, const CaptureSignature&) = default;
};
ScalarType scalar_type_of(DType dtype) noexcept;  // what a gather of that dtype gives

class Graph {
 public:
  ModKind kind = ModKind::score;
  std::vector<Node> nodes;
  std::vector<NodeId> operands;
  std::vector<ScalarType> params;
  std::vector<CaptureSignature> captures;
  NodeId root = -1;
  std::string text;  // the structure's text form
  Hash128 hash;      // of `text`

  const Node& operator[](NodeId id) const { return nodes[static_cast<std::size_t>(id)]; }
  std::span<const NodeId> args(const Node& node) const {
    return std::span(operands).subspan(static_cast<std::size_t>(node.first),
                                       static_cast<std::size_t>(node.count));
  }
  std::span<const NodeId> args(NodeId id) const { return args((*this)[id]); }
  NodeId size() const noexcept { return static_cast<NodeId>(nodes.size()); }
};

}  // namespace fovea::program
