// SPDX-License-Identifier: Apache-2.0
#include "merge_ops.h"

#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <fovea/merge.h>
#include <fovea/torch_tensor.h>
#include "errors.h"
#include "operators.h"
#include "torch_executor.h"

namespace fovea::torch {
namespace {

using ::torch::autograd::AutogradContext;
using ::torch::autograd::variable_list;

const auto& merge_operator() {
  static const auto op = find_operator<decltype(merge_cpu)>("fovea::merge_attention");
  return op;
}

void check_lists(at::TensorList outs, at::TensorList lses) {
  TORCH_CHECK_VALUE(!outs.empty() && outs.size() == lses.size(),
                    "[merge_attention] parts: expected one lse for each of one or more outs, got ",
                    outs.size(), " outs and ", lses.size(), " lses");
}

MergeResult empty_result(at::TensorList outs, at::TensorList lses) {
  return {at::empty_symint(outs[0].sym_sizes(), outs[0].options()),
          at::empty_symint(lses[0].sym_sizes(), lses[0].options())};
}

// With w_i = exp(lse_i - lse): d out_i = w_i d out, and d lse_i = w_i (d out . (out_i - out) + d lse).
class Merge : public ::torch::autograd::Function<Merge> {
 public:
  static variable_list forward(AutogradContext* ctx, at::TensorList outs, at::TensorList lses) {
    at::AutoDispatchBelowADInplaceOrView below;
    auto [out, lse] = merge_operator().call(outs, lses);
    variable_list saved{out, lse};
    saved.insert(saved.end(), outs.begin(), outs.end());
    saved.insert(saved.end(), lses.begin(), lses.end());
    ctx->save_for_backward(std::move(saved));
    ctx->set_materialize_grads(false);
    return {out, lse};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const std::size_t count = (saved.size() - 2) / 2;
    const auto type = saved[1].scalar_type();
    const at::Tensor out = saved[0].to(type), lse = saved[1];
    const at::Tensor &dout = gradients[0], &dlse = gradients[1];
    variable_list douts(count), dlses(count);
    for (std::size_t i = 0; i < count; ++i) {
      const at::Tensor &part = saved[2 + i], &part_lse = saved[2 + count + i];
      // A part without keys for a row has no share in it, even where no part has any.
      const at::Tensor weight =
          at::where(part_lse.isneginf(), at::zeros_like(lse), (part_lse - lse).exp());
      at::Tensor dweighted;
      if (dout.defined()) {
        const at::Tensor dweight = dout.to(type) * weight.unsqueeze(-1);
        douts[i] = dweight.to(part.scalar_type());
        const at::Tensor kept =
            at::where(weight.unsqueeze(-1) == 0, at::zeros_like(out), part.to(type) - out);
        dweighted = (dweight * kept).sum(-1);
      }
      if (dlse.defined()) {
        const at::Tensor direct = weight * dlse;
        dweighted = dweighted.defined() ? dweighted + direct : direct;
      }
      if (dweighted.defined()) dlses[i] = dweighted.to(part_lse.scalar_type());
    }
    douts.insert(douts.end(), dlses.begin(), dlses.end());
    return douts;
  }
};

}  // namespace

MergeResult merge_meta(at::TensorList outs, at::TensorList lses) {
  check_lists(outs, lses);
  return empty_result(outs, lses);
}

MergeResult merge_cpu(at::TensorList outs, at::TensorList lses) {
  check_lists(outs, lses);
  return translated([&] {
    MergeResult result = empty_result(outs, lses);
    std::vector<PartialAttention> parts;
    for (std::size_t i = 0; i < outs.size(); ++i) {
      parts.push_back({view_of(outs[i]), view_of(lses[i])});
    }
    fovea::merge_attention(parts, view_of(std::get<0>(result)),
                           {.lse = view_of(std::get<1>(result)), .executor = &torch_executor()});
    return result;
  });
}

MergeResult merge_autograd(at::TensorList outs, at::TensorList lses) {
  const variable_list results = Merge::apply(outs, lses);
  return {results[0], results[1]};
}

}  // namespace fovea::torch
