# SPDX-License-Identifier: Apache-2.0
"""What attention means, densely: in float64, by torch's vmap over the mods, with autograd."""

from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex
from torch.nn.attention import flex_attention as theirs

import torch


def indices(shape):
    return tuple(torch.arange(n) for n in shape)


def apply_score(score_mod, scores):
    with TransformGetItemToIndex():
        return theirs._vmap_for_bhqkv(score_mod, prefix=(0,))(scores, *indices(scores.shape))


def apply_mask(mask_mod, shape):
    with TransformGetItemToIndex():
        return theirs._vmap_for_bhqkv(mask_mod, prefix=())(*indices(shape))


def attention(query, key, value, score_mod=None, mask_mod=None, scale=None, lse=False):
    """out, or (out, lse), in float64. Key and value heads are shared by groups of query heads."""
    query, key, value = query.double(), key.double(), value.double()
    group = query.shape[1] // key.shape[1]
    key = key.expand(query.shape[0], -1, -1, -1).repeat_interleave(group, 1)
    value = value.expand(query.shape[0], -1, -1, -1).repeat_interleave(group, 1)
    scores = query @ key.transpose(-2, -1) * (scale or query.shape[-1] ** -0.5)
    if score_mod is not None:
        scores = apply_score(score_mod, scores).double()
    if mask_mod is not None:
        scores = scores.masked_fill(~apply_mask(mask_mod, scores.shape), float("-inf"))
    largest = scores.detach().amax(-1, keepdim=True)
    largest = torch.where(largest == float("-inf"), 0.0, largest)
    weights = (scores - largest).exp()
    total = weights.sum(-1, keepdim=True)
    out = (weights / torch.where(total == 0, 1.0, total)) @ value
    return (out, (total.log() + largest).squeeze(-1)) if lse else out
