// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <fovea/program.h>
#include "core/fail.h"
#include "program/graph.h"
#include "program/print.h"

namespace fovea {

namespace {

void check_bindings(const program::Graph& graph, std::span<const Literal> params,
                    std::span<const TensorView> captures) {
  core::require(params.size() == graph.params.size(), "Program", "number of parameters",
                graph.params.size(), params.size());
  core::require(captures.size() == graph.captures.size(), "Program", "number of captured tensors",
                graph.captures.size(), captures.size());
  for (std::size_t i = 0; i < params.size(); ++i) {
    if (params[i].type == graph.params[i]) continue;
    core::fail_argument("Program", "type of parameter p" + std::to_string(i),
                        name_of(graph.params[i]), name_of(params[i].type));
  }
  for (std::size_t i = 0; i < captures.size(); ++i) {
    const program::CaptureSignature& expected = graph.captures[i];
    if (captures[i].dtype == expected.dtype && captures[i].rank() == expected.rank) continue;
    const auto describe = [](DType dtype, int rank) {
      return name_of(dtype) + ("[" + std::to_string(rank)) + "]";
    };
    core::fail_argument("Program", "dtype and rank of captured tensor t" + std::to_string(i),
                        describe(expected.dtype, expected.rank),
                        describe(captures[i].dtype, captures[i].rank()));
  }
}

const program::Graph& require_graph(const program::Graph* graph) {
  if (graph == nullptr) core::fail_argument("Program", "an empty Program", "a mod", "none");
  return *graph;
}

}  // namespace

Program::Program(std::shared_ptr<const program::Graph> graph, std::vector<Literal> params,
                 std::vector<TensorView> captures)
    : graph_(std::move(graph)), params_(std::move(params)), captures_(std::move(captures)) {
  check_bindings(require_graph(graph_.get()), params_, captures_);
}

ModKind Program::kind() const { return graph().kind; }
const program::Graph& Program::graph() const { return require_graph(graph_.get()); }
Hash128 Program::structure_hash() const { return graph().hash; }
std::string Program::to_string() const { return program::print(graph(), params_); }
std::string Program::structure() const { return graph().text; }

}  // namespace fovea
