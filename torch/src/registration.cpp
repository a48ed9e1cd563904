// SPDX-License-Identifier: Apache-2.0
#include <torch/library.h>

#include "block_mask_ops.h"
#include "flex_attention_ops.h"
#include "merge_ops.h"

/// Every operator of the library, with its schema.
namespace {

#define FOVEA_FLEX_SCHEMA                                                                       \
  "str score_mod, Tensor[] score_captures, SymInt[] score_integers, float[] score_floats, "     \
  "str weight_mod, Tensor[] weight_captures, SymInt[] weight_integers, float[] weight_floats, " \
  "Tensor? block_mask, Tensor? sinks, Tensor? cu_seqlens_q, Tensor? cu_seqlens_kv, "            \
  "Tensor? page_table, Tensor? kv_lens, int causal, float? scale"

#define FOVEA_MOD_SCHEMA "str mask_mod, Tensor[] captures, SymInt[] integers, float[] floats"

}  // namespace

TORCH_LIBRARY(fovea, m) {
  m.def("flex_attention(Tensor query, Tensor key, Tensor value, " FOVEA_FLEX_SCHEMA
        ", bool want_max_scores) -> (Tensor out, Tensor lse, Tensor max_scores)");
  m.def(
      "flex_attention_backward(Tensor dout, Tensor? dlse, Tensor query, Tensor key, Tensor value, "
      "Tensor out, Tensor lse, " FOVEA_FLEX_SCHEMA
      ", int[] wanted) -> (Tensor dquery, Tensor dkey, Tensor dvalue, Tensor dsinks, Tensor[] "
      "dscore, "
      "Tensor[] dweight)");
  m.def("decode(Tensor query, Tensor key, Tensor value, " FOVEA_FLEX_SCHEMA
        ") -> (Tensor out, Tensor lse)",
        fovea::torch::decode_op);
  m.def("explain(Tensor query, Tensor key, Tensor value, " FOVEA_FLEX_SCHEMA ") -> str");
  m.def("merge_attention(Tensor[] outs, Tensor[] lses) -> (Tensor out, Tensor lse)");
  m.def(
      "create_block_mask(" FOVEA_MOD_SCHEMA
      ", SymInt batch, SymInt heads, SymInt q_len, SymInt kv_len, SymInt block_q, SymInt block_kv) "
      "-> Tensor");
  m.def(
      "block_mask_from_kv_blocks(Tensor kv_num_blocks, Tensor kv_indices, Tensor? "
      "full_kv_num_blocks, "
      "Tensor? full_kv_indices, " FOVEA_MOD_SCHEMA
      ", int q_len, int kv_len, int block_q, int block_kv) -> Tensor",
      fovea::torch::block_mask_from_kv_blocks);
  m.def("block_mask_info(Tensor mask) -> int[]", fovea::torch::block_mask_info);
  m.def("block_mask_lists(Tensor mask) -> Tensor[]", fovea::torch::block_mask_lists);
  m.def("create_mask(" FOVEA_MOD_SCHEMA ", int batch, int heads, int q_len, int kv_len) -> Tensor",
        fovea::torch::create_mask_op);
  m.def("block_mask_to_string(Tensor mask, int b, int h, int rows, int columns) -> str",
        fovea::torch::block_mask_to_string);
  m.def("block_mask_index(Tensor mask, int[]? batch, int[]? heads, int[]? rows) -> Tensor",
        fovea::torch::block_mask_index);
  m.def("block_mask_adjusted(Tensor mask, int q_len, int kv_len) -> Tensor",
        fovea::torch::block_mask_adjusted);
  m.def("block_mask_with_mask_mod(Tensor mask, " FOVEA_MOD_SCHEMA ") -> Tensor",
        fovea::torch::block_mask_with_mask_mod);
}

// No tensor among its arguments need be there, so that no device could choose the kernel.
TORCH_LIBRARY_IMPL(fovea, BackendSelect, m) {
  m.impl("create_block_mask", fovea::torch::create_block_mask_op);
}

TORCH_LIBRARY_IMPL(fovea, CPU, m) {
  m.impl("flex_attention", fovea::torch::forward_cpu);
  m.impl("create_block_mask", fovea::torch::create_block_mask_op);
  m.impl("flex_attention_backward", fovea::torch::backward_cpu);
  m.impl("merge_attention", fovea::torch::merge_cpu);
  m.impl("explain", fovea::torch::explain_cpu);
}

TORCH_LIBRARY_IMPL(fovea, Meta, m) {
  m.impl("flex_attention", fovea::torch::forward_meta);
  m.impl("flex_attention_backward", fovea::torch::backward_meta);
  m.impl("merge_attention", fovea::torch::merge_meta);
}

TORCH_LIBRARY_IMPL(fovea, Autograd, m) {
  m.impl("flex_attention", fovea::torch::forward_autograd);
  m.impl("flex_attention_backward", fovea::torch::backward_autograd);
  m.impl("merge_attention", fovea::torch::merge_autograd);
}

TORCH_LIBRARY_IMPL(fovea, AutocastCPU, m) {
  m.impl("flex_attention", fovea::torch::forward_autocast);
}
TORCH_LIBRARY_IMPL(fovea, AutocastCUDA, m) {
  m.impl("flex_attention", fovea::torch::forward_autocast);
}
