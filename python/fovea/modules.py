# SPDX-License-Identifier: Apache-2.0
"""Modules on scaled_dot_product_attention."""

import torch
from fovea.sdpa import scaled_dot_product_attention


class CausalSelfAttention(torch.nn.Module):
    """Multi-head self-attention with one projection for queries, keys and values, as in PyTorch's
    tutorial on scaled_dot_product_attention, whose state_dict names it has: c_attn, c_proj.

    num_heads, embed_dimension: the heads share the embedding, so the second must be a multiple of
    the first (ValueError). bias: of both projections. is_causal: a token sees itself and earlier
    ones, in training and evaluation. dropout: of the attention weights and of the result, in
    training alone.

    forward(x): (B, L, E) -> (B, L, E), or a jagged NestedTensor (B, L*, E) -> the same.
    """

    def __init__(self, num_heads, embed_dimension, bias=False, is_causal=False, dropout=0.0):
        super().__init__()
        if num_heads < 1 or embed_dimension % num_heads != 0:
            raise ValueError(
                f"embed_dimension: expected a multiple of num_heads = {num_heads}, got "
                f"{embed_dimension}"
            )
        self.c_attn = torch.nn.Linear(embed_dimension, 3 * embed_dimension, bias=bias)
        self.c_proj = torch.nn.Linear(embed_dimension, embed_dimension, bias=bias)
        self.resid_dropout = torch.nn.Dropout(dropout)
        self.num_heads, self.embed_dimension = num_heads, embed_dimension
        self.is_causal, self.dropout = is_causal, dropout

    def forward(self, x):
        if x.dim() != 3 or x.size(-1) != self.embed_dimension:
            raise ValueError(
                f"x: expected (batch, length, {self.embed_dimension}), got {tuple(x.shape)}"
            )
        parts = self.c_attn(x).chunk(3, -1)
        query, key, value = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in parts
        )
        dropout = self.dropout if self.training else 0.0
        out = scaled_dot_product_attention(
            query, key, value, dropout_p=dropout, is_causal=self.is_causal
        )
        return self.resid_dropout(self.c_proj(out.transpose(1, 2).flatten(-2)))

    def extra_repr(self):
        return f"num_heads={self.num_heads}, is_causal={self.is_causal}, dropout={self.dropout}"
