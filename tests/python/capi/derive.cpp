// SPDX-License-Identifier: Apache-2.0
// Programs and their derivatives at single elements, by the float64 interpreter, for tests against
// torch: added to the C interface of bench/capi, which itself sees public headers only.
#include "program/derive.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common.h"
#include "program/interpret.h"

using fovea_capi::guarded;
using fovea_capi::require;
namespace program = fovea::program;

extern "C" {

/* Elements of the attention matrix. indices: (count, 4), b, h, q, kv. */
typedef struct {
  int64_t count;
  const double* score; /* of a weight_mod: weights */
  const int64_t* indices;
  const double* dout; /* the gradient of the mod's result, for gradients alone */
} fovea_capi_points;

FOVEA_CAPI int fovea_capi_evaluate(const fovea_capi_program* mod, const fovea_capi_points* points,
                                   double* results);
/* dscore[i] of each point; added over all points: dcaptures[slot], a dense array of the captured
 * tensor's sizes (of floating-point captures), and dparams[slot], of the first `params` parameters,
 * which must be f32. */
FOVEA_CAPI int fovea_capi_gradients(const fovea_capi_program* mod, const fovea_capi_points* points,
                                    double* dscore, double* const* dcaptures, double* dparams,
                                    int32_t params);
/* d result / d score, as a program of the same kind. */
FOVEA_CAPI int fovea_capi_differentiate(const fovea_capi_program* mod,
                                        fovea_capi_program** derivative);

}  // extern "C"

namespace {

program::Inputs point(const fovea_capi_points& points, int64_t i) {
  const auto score = std::span(points.score, static_cast<std::size_t>(points.count));
  const auto dout = std::span(points.dout, static_cast<std::size_t>(points.count));
  const auto indices = std::span(points.indices, static_cast<std::size_t>(points.count) * 4);
  const auto at = static_cast<std::size_t>(i);
  const auto index = indices.subspan(at * 4, 4);
  return {.score = score[at],
          .b = index[0],
          .h = index[1],
          .q = index[2],
          .kv = index[3],
          .dout = points.dout ? dout[at] : 0};
}

program::JointProgram derive_all(const program::Graph& graph, int32_t params) {
  program::Wanted wanted = program::all_captures(graph);
  for (int32_t slot = 0; slot < params; ++slot) wanted.params.push_back(slot);
  return program::derive(graph, wanted);
}

// Of an element in a dense array of the tensor's sizes.
int64_t dense_offset(const program::JointState& state, const fovea::TensorView& tensor,
                     const program::JointProgram::Contribution& c) {
  int64_t offset = 0;
  int d = 0;
  for (const program::NodeId index : c.index) {
    offset = offset * tensor.size(d++) + state.value(index).i;
  }
  return offset;
}

}  // namespace

extern "C" {

int fovea_capi_evaluate(const fovea_capi_program* mod, const fovea_capi_points* points,
                        double* results) {
  return guarded([&] {
    require(mod && points && results,
            "[fovea_capi_evaluate] arguments: expected a program, points and a place for results");
    for (int64_t i = 0; i < points->count; ++i) {
      const fovea::Literal value = program::interpret(mod->value, point(*points, i));
      results[i] = value.type == fovea::ScalarType::f32 ? value.f : static_cast<double>(value.i);
    }
  });
}

int fovea_capi_gradients(const fovea_capi_program* mod, const fovea_capi_points* points,
                         double* dscore, double* const* dcaptures, double* dparams,
                         int32_t params) {
  return guarded([&] {
    require(
        mod && points && points->dout && dscore && dcaptures && dparams,
        "[fovea_capi_gradients] arguments: expected a program, points and places for gradients");
    const program::JointProgram joint = derive_all(mod->value.graph(), params);
    program::JointState state(joint, mod->value);
    for (int64_t i = 0; i < points->count; ++i) {
      state.run(point(*points, i));
      dscore[i] = state.value(joint.dscore).f;
      for (const auto& c : joint.captures) {
        if (!state.holds(c)) continue;
        const auto slot = static_cast<std::size_t>(c.slot);
        const fovea::TensorView& tensor = mod->value.captures()[slot];
        dcaptures[slot][dense_offset(state, tensor, c)] += state.value(c.value).f;
      }
      for (const auto& c : joint.params) dparams[c.slot] += state.value(c.value).f;
    }
  });
}

int fovea_capi_differentiate(const fovea_capi_program* mod, fovea_capi_program** derivative) {
  return guarded([&] {
    require(mod && derivative,
            "[fovea_capi_differentiate] arguments: expected a program and a place for another");
    *derivative = new fovea_capi_program{program::derivative_of(mod->value)};
  });
}

}  // extern "C"
