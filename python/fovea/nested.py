# SPDX-License-Identifier: Apache-2.0
"""Jagged NestedTensors: what lies in them, as one batch of sequences behind each other."""

import torch


def is_jagged(x):
    return isinstance(x, torch.Tensor) and x.is_nested


def unwrap(x, name):
    """((1, heads, total, dim) tensor, offsets) of a jagged tensor (B, heads, length*, dim)."""
    if x.layout != torch.jagged:
        raise NotImplementedError(
            f"[nested] {name} layout: expected torch.jagged, got {x.layout} "
            "(torch.nested.nested_tensor(..., layout=torch.jagged))"
        )
    if x.dim() != 4 or x._ragged_idx != 2:
        raise ValueError(
            f"[nested] {name}: expected (batch, heads, length*, head_dim) with ragged lengths, got "
            f"{x.dim()} dimensions of which {x._ragged_idx} is ragged (transpose(1, 2) after "
            "splitting the heads)"
        )
    if x.lengths() is not None:
        raise NotImplementedError(
            f"[nested] {name}: expected sequences without holes between them, got lengths "
            "besides offsets"
        )
    return x.values().unsqueeze(0), x.offsets()


def wrap(values, like):
    """The jagged tensor with the sequences of `like`; values: (1, heads, total, dim), or without
    dim."""
    rows = values.squeeze(0).transpose(0, 1).contiguous()
    return torch.nested.nested_tensor_from_jagged(rows, like.offsets()).transpose(1, 2)


def check_together(query, key, value):
    if not (is_jagged(query) and is_jagged(key) and is_jagged(value)):
        raise ValueError(
            "[nested] query, key and value: expected all of them nested or none, got a mixture"
        )
    if query.shape[0] != key.shape[0] or key.shape[0] != value.shape[0]:
        raise ValueError(
            "[nested] batch: expected equal numbers of sequences, got "
            f"{query.shape[0]}, {key.shape[0]} and {value.shape[0]}"
        )


def longest(x):
    """The length of the longest sequence; 0 without sequences."""
    lengths = x.offsets().diff()
    return int(lengths.max()) if lengths.numel() else 0
