// SPDX-License-Identifier: Apache-2.0
// Any text: parse_program either throws InvalidArgument or gives a program that prints, reads back
// as itself, simplifies, has a derivative and runs.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include <fovea/error.h>
#include <fovea/program.h>
#include "program/derive.h"
#include "program/graph.h"
#include "program/interpret.h"

namespace {

// Assertions of this file: a crash is what a fuzzer reports.
void require(bool ok) {
  if (!ok) std::abort();
}

// Memory of four elements a dimension for each captured tensor (zeros: every index 0 is inside).
struct Bound {
  std::vector<std::vector<double>> memory;
  std::vector<fovea::TensorView> tensors;
};

Bound make_tensors(const fovea::Program& program) {
  Bound bound;
  for (const fovea::TensorView& unbound : program.captures()) {
    fovea::TensorView tensor = unbound;
    for (int i = 0; i < tensor.rank(); ++i) {
      tensor.sizes[i] = 4;
      tensor.strides[i] = i == 0 ? 1 : 0;
    }
    tensor.data = bound.memory.emplace_back(4, 0.0).data();
    bound.tensors.push_back(tensor);
  }
  return bound;
}

void run(const fovea::Program& program) {
  for (const int64_t q : {0, 3, 1000}) {
    try {
      fovea::program::interpret(program, {.score = 0.5, .b = 1, .h = 2, .q = q, .kv = 2});
    } catch (const fovea::InvalidArgument&) {
    }
  }
}

// Where the mod has a result, so has the joint program, the same one.
void run_derivative(const fovea::Program& program) {
  const auto& graph = program.graph();
  const auto joint = fovea::program::derive(graph, fovea::program::all_captures(graph));
  fovea::program::JointState state(joint, program);
  for (const int64_t q : {0, 3, 1000}) {
    const fovea::program::Inputs at{.score = 0.5, .b = 1, .h = 2, .q = q, .kv = 2, .dout = 1};
    double result = 0;
    try {
      result = fovea::program::interpret(program, at).f;
    } catch (const fovea::InvalidArgument&) {
      continue;
    }
    const double again = state.run(at);
    require(again == result || (again != again && result != result));
    state.value(joint.dscore);
    for (const auto& c : joint.captures) {
      state.value(c.value);
      if (!state.holds(c)) continue;
      for (const fovea::program::NodeId index : c.index) state.value(index);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  fovea::Program program;
  try {
    program = fovea::parse_program(text);
  } catch (const fovea::InvalidArgument&) {
    return 0;
  }
  const fovea::Program again = fovea::parse_program(program.to_string());
  require(again.to_string() == program.to_string());
  require(again.structure_hash() == program.structure_hash());
  const fovea::Program simple = fovea::simplify(program);
  require(fovea::parse_program(simple.to_string()).to_string() == simple.to_string());

  const Bound bound = make_tensors(program);
  const std::vector<fovea::Literal> params(program.params().begin(), program.params().end());
  const fovea::Program runnable(program.shared_graph(), params, bound.tensors);
  run(runnable);
  run(fovea::simplify(runnable));
  if (program.kind() != fovea::ModKind::mask) run_derivative(runnable);
  return 0;
}
