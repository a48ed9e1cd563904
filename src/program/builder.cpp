// SPDX-License-Identifier: Apache-2.0
#include "program/builder.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/fail.h"
#include "program/cons_table.h"
#include "program/fold.h"
#include "program/types.h"

namespace fovea::program {

namespace {

// What is built and then dropped counts too, so that a hostile text ends somewhere.
constexpr NodeId kMaxBuilt = 4 * kMaxNodes;

// The builder of the trace that runs on this thread: Values find it without carrying a pointer.
thread_local Builder* current_builder = nullptr;

uint64_t next_trace() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

bool is_same_view(const TensorView& a, const TensorView& b) {
  return a.data == b.data && a.dtype == b.dtype && a.sizes == b.sizes && a.strides == b.strides &&
         a.device == b.device;
}

Op conversion_to(ScalarType type) {
  switch (type) {
    case ScalarType::f32: return Op::to_f32;
    case ScalarType::i32: return Op::to_i32;
    case ScalarType::boolean: return Op::to_bool;
  }
  return Op::to_f32;
}

Literal normalized(Literal value) {
  if (value.type == ScalarType::f32) {
    value.i = 0;
    if (value.f != value.f) value.f = std::numeric_limits<double>::quiet_NaN();
  } else {
    value.f = 0;
    if (value.type == ScalarType::boolean) value.i = value.i != 0 ? 1 : 0;
  }
  return value;
}

}  // namespace

struct Builder::State {
  // What is known of a node beyond the graph; literals are converted once for each type.
  struct Facts {
    bool is_literal = false;
    std::array<NodeId, 3> converted{-1, -1, -1};  // by ScalarType
    NodeId constant = -1;
  };

  Facts& facts_of(NodeId id) { return facts[static_cast<std::size_t>(id)]; }

  Graph graph;
  std::vector<Facts> facts;
  std::vector<Literal> params;
  std::vector<TensorView> captures;
  ConsTable table;
  uint64_t trace = next_trace();
};

Builder::Builder(ModKind kind) : state_(std::make_unique<State>()) { state_->graph.kind = kind; }
Builder::~Builder() = default;

const Graph& Builder::graph() const { return state_->graph; }
ScalarType Builder::type(NodeId id) const { return state_->graph[id].type; }

NodeId Builder::add(Node node, std::span<const NodeId> operands) {
  Graph& graph = state_->graph;
  if (graph.size() == kMaxBuilt) {
    core::fail_argument("trace", "size of the program",
                        "at most " + std::to_string(kMaxNodes) + " nodes", "more");
  }
  node.first = static_cast<int32_t>(graph.operands.size());
  node.count = static_cast<int32_t>(operands.size());
  graph.operands.insert(graph.operands.end(), operands.begin(), operands.end());
  graph.nodes.push_back(node);
  const NodeId known = state_->table.find_or_enter_last(graph);
  if (known < 0) {
    state_->facts.emplace_back();
    return graph.size() - 1;
  }
  graph.nodes.pop_back();
  graph.operands.resize(static_cast<std::size_t>(node.first));
  return known;
}

NodeId Builder::input(Input input) {
  const bool is_float = input == Input::score || input == Input::dout;
  if (is_float && state_->graph.kind == ModKind::mask) {
    core::fail_argument("trace", "inputs of a mask_mod", "b, h, q or kv",
                        name_of(input, ModKind::mask));
  }
  Node node;
  node.op = Op::input;
  node.type = is_float ? ScalarType::f32 : ScalarType::i32;
  node.slot = static_cast<int32_t>(input);
  return add(node, {});
}

NodeId Builder::constant(const Literal& value) {
  Node node;
  node.op = Op::constant;
  node.type = value.type;
  node.literal = normalized(value);
  return add(node, {});
}

NodeId Builder::param(const Literal& value) {
  Node node;
  node.op = Op::param;
  node.type = value.type;
  node.slot = static_cast<int32_t>(state_->params.size());
  state_->params.push_back(normalized(value));
  state_->graph.params.push_back(value.type);
  return add(node, {});
}

NodeId Builder::literal(const Literal& value) {
  if (is_structural(value)) return constant(value);
  const NodeId id = param(value);
  state_->facts_of(id).is_literal = true;
  return id;
}

int32_t Builder::capture(const TensorView& tensor) {
  if (tensor.data != nullptr) {
    for (std::size_t i = 0; i < state_->captures.size(); ++i) {
      if (is_same_view(state_->captures[i], tensor)) return static_cast<int32_t>(i);
    }
  }
  return new_capture(tensor);
}

int32_t Builder::new_capture(const TensorView& tensor) {
  state_->captures.push_back(tensor);
  state_->graph.captures.push_back({tensor.dtype, tensor.rank()});
  return static_cast<int32_t>(state_->captures.size()) - 1;
}

int32_t Builder::capture(const CaptureSignature& signature) {
  const std::array<int64_t, kMaxRank> zeros{};
  if (signature.rank < 0 || signature.rank > kMaxRank) {
    core::fail_argument("trace", "rank of a captured tensor", "0 to " + std::to_string(kMaxRank),
                        std::to_string(signature.rank));
  }
  TensorView unbound;
  unbound.dtype = signature.dtype;
  unbound.sizes = Dims(std::span(zeros.data(), static_cast<std::size_t>(signature.rank)));
  unbound.strides = unbound.sizes;
  return new_capture(unbound);
}

NodeId Builder::gather(int32_t slot, std::span<const NodeId> indices) {
  const CaptureSignature& signature = state_->graph.captures[static_cast<std::size_t>(slot)];
  if (indices.size() > static_cast<std::size_t>(signature.rank)) {
    core::fail_argument("trace", "indices of captured tensor t" + std::to_string(slot),
                        "at most " + std::to_string(signature.rank) + " (its rank)",
                        std::to_string(indices.size()));
  }
  std::array<NodeId, kMaxRank> integers{};
  for (std::size_t i = 0; i < indices.size(); ++i) {
    check_operand(Op::gather, indices[i]);
    if (type(indices[i]) == ScalarType::f32) {
      core::fail_argument("trace", "index of captured tensor t" + std::to_string(slot),
                          "an integer", "f32");
    }
    integers[i] = convert(indices[i], ScalarType::i32);
  }
  Node node;
  node.op = Op::gather;
  node.type = scalar_type_of(signature.dtype);
  node.slot = slot;
  return add(node, std::span(integers.data(), indices.size()));
}

NodeId Builder::index(NodeId partly_indexed, NodeId index) {
  const Node node = state_->graph[partly_indexed];
  if (node.op != Op::gather)
    core::fail_argument("trace", "indexing with []", "a captured tensor", "a number");
  const auto known = state_->graph.args(node);
  std::vector<NodeId> indices(known.begin(), known.end());
  indices.push_back(index);
  return gather(node.slot, indices);
}

void Builder::check_operand(Op op, NodeId id) const {
  const Graph& graph = state_->graph;
  if (id < 0 || id >= graph.size()) {
    throw InternalError("[program] operand of " + std::string(name_of(op)) +
                        ": expected a node of this graph, got " + std::to_string(id));
  }
  const Node& node = graph[id];
  if (node.op != Op::gather) return;
  const int rank = graph.captures[static_cast<std::size_t>(node.slot)].rank;
  if (node.count == rank) return;
  core::fail_argument("trace",
                      "captured tensor t" + std::to_string(node.slot) + " used as a number",
                      std::to_string(rank) + (rank == 1 ? " index" : " indices") + " (its rank)",
                      std::to_string(node.count));
}

bool Builder::is_foldable(NodeId id) const {
  return state_->graph[id].op == Op::constant || state_->facts_of(id).is_literal;
}

Literal Builder::value_of(NodeId id) const {
  const Node& node = state_->graph[id];
  return node.op == Op::constant ? node.literal
                                 : state_->params[static_cast<std::size_t>(node.slot)];
}

// A literal takes the other type; anything else gets a conversion node.
NodeId Builder::convert(NodeId id, ScalarType type) {
  if (this->type(id) == type) return id;
  if (!is_foldable(id)) return make(conversion_to(type), {id});
  const auto slot = static_cast<std::size_t>(type);
  if (state_->facts_of(id).converted[slot] < 0) {
    const NodeId converted = make(conversion_to(type), {id});
    state_->facts_of(id).converted[slot] = converted;
  }
  return state_->facts_of(id).converted[slot];
}

NodeId Builder::as_constant(NodeId literal) {
  if (!state_->facts_of(literal).is_literal) return literal;
  if (state_->facts_of(literal).constant < 0) {
    const NodeId made = constant(value_of(literal));
    state_->facts_of(literal).constant = made;
  }
  return state_->facts_of(literal).constant;
}

NodeId Builder::make(Op op, std::span<const NodeId> operands) {
  const Rule rule = rule_of(op);
  if (rule == Rule::leaf || rule == Rule::gather ||
      operands.size() != static_cast<std::size_t>(arity_of(op))) {
    throw InternalError("[program] make: expected an operation and its operands, got " +
                        std::string(name_of(op)) + " of " + std::to_string(operands.size()));
  }
  std::array<ScalarType, 3> types{};
  for (std::size_t i = 0; i < operands.size(); ++i) {
    check_operand(op, operands[i]);
    types[i] = type(operands[i]);
  }
  const std::span got(types.data(), operands.size());
  if (const NodeId made = make_as_torch(op, operands, got); made >= 0) return made;
  const Signature signature = signature_of(op, got);
  const bool is_cast = rule == Rule::to_f32 || rule == Rule::to_i32 || rule == Rule::to_bool;
  if (is_cast && types[0] == signature.result) return operands[0];

  std::array<NodeId, 3> args{};
  std::array<Literal, 3> values{};
  bool all_known = true;
  bool all_constant = true;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    args[i] = convert(operands[i], signature.operands[i]);
    all_constant &= state_->graph[args[i]].op == Op::constant;
    all_known &= is_foldable(args[i]);
    if (all_known) values[i] = value_of(args[i]);
  }
  if (all_known) {
    uint64_t fault = 0;
    const Literal value = fold(op, std::span(values.data(), operands.size()), fault);
    if (fault == 0) return all_constant ? constant(value) : literal(value);
  }
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (is_shaping(op, i, signature.operands[i])) args[i] = as_constant(args[i]);
  }
  Node node;
  node.op = op;
  node.type = signature.result;
  return add(node, std::span(args.data(), operands.size()));
}

Canonical Builder::finish_graph(NodeId root, ModKind kind) {
  check_operand(Op::gather, root);
  const ScalarType got = type(root);
  const bool wants_bool = kind == ModKind::mask;
  if (wants_bool != (got == ScalarType::boolean)) {
    core::fail_argument("trace", std::string("result of a ") + name_of(kind),
                        wants_bool ? "bool" : "f32", name_of(got));
  }
  if (!wants_bool) root = convert(root, ScalarType::f32);
  return canonicalize(state_->graph, root, kind);
}

Program Builder::finish(NodeId root) { return finish(root, state_->graph.kind); }

Program Builder::finish(NodeId root, ModKind kind) {
  Canonical canonical = finish_graph(root, kind);
  std::vector<Literal> params;
  std::vector<TensorView> captures;
  for (const int32_t slot : canonical.params) {
    params.push_back(state_->params[static_cast<std::size_t>(slot)]);
  }
  for (const int32_t slot : canonical.captures) {
    captures.push_back(state_->captures[static_cast<std::size_t>(slot)]);
  }
  return Program(std::move(canonical.graph), std::move(params), std::move(captures));
}

NodeId Builder::import(const Program& program, std::span<const NodeId> inputs) {
  const Graph& graph = program.graph();
  std::vector<NodeId> params;
  std::vector<int32_t> captures;
  for (const Literal& value : program.params()) params.push_back(param(value));
  for (const TensorView& tensor : program.captures()) captures.push_back(capture(tensor));
  std::vector<NodeId> copies(graph.nodes.size(), -1);
  std::vector<NodeId> args;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph[id];
    NodeId& copy = copies[static_cast<std::size_t>(id)];
    const auto slot = static_cast<std::size_t>(node.slot);
    args.clear();
    for (const NodeId arg : graph.args(node)) args.push_back(copies[static_cast<std::size_t>(arg)]);
    if (node.op == Op::input) {
      const bool replaced = slot < inputs.size() && inputs[slot] >= 0;
      copy = replaced ? inputs[slot] : input(static_cast<Input>(node.slot));
    } else if (node.op == Op::constant) {
      copy = constant(node.literal);
    } else if (node.op == Op::param) {
      copy = params[slot];
    } else if (node.op == Op::gather) {
      copy = gather(captures[slot], args);
    } else {
      copy = make(node.op, args);
    }
  }
  return copies[static_cast<std::size_t>(graph.root)];
}

Builder& Builder::current() {
  if (current_builder == nullptr) {
    core::fail_argument("trace", "a Value or literal outside of a mod that is being traced",
                        "an active trace", "none");
  }
  return *current_builder;
}

Value Builder::wrap(NodeId id) {
  Value value;
  value.trace_ = state_->trace;
  value.node_ = id;
  return value;
}

NodeId Builder::unwrap(const Value& value) {
  if (value.trace_ != state_->trace) {
    core::fail_argument("trace", "a Value in a mod", "one of this trace", "one of another trace");
  }
  return value.node_;
}

Builder::Scope::Scope(Builder& builder) : previous_(std::exchange(current_builder, &builder)) {}
Builder::Scope::~Scope() { current_builder = previous_; }

}  // namespace fovea::program
