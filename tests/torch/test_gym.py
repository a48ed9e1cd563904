# SPDX-License-Identifier: Apache-2.0
"""attention-gym's mods, unchanged: the traced programs mean what torch's vmap makes of the mods."""

import fovea
import pytest
from gym_variants import B, H, L, mask_mods, score_mods
from torch.nn.attention import flex_attention as theirs

import torch

D = 32
MASKS, SCORES = mask_mods(), score_mods()


def dense_scores(score_mod, scores):
    """score_mod of every element, by torch."""
    with torch._dynamo._trace_wrapped_higher_order_op.TransformGetItemToIndex():
        mod = theirs._vmap_for_bhqkv(score_mod, prefix=(0,))
        return mod(scores, *(torch.arange(n) for n in scores.shape))


def attention(query, key, value, score_mod=None, mask=None):
    scores = query.double() @ key.double().transpose(-2, -1) / query.shape[-1] ** 0.5
    if score_mod is not None:
        scores = dense_scores(score_mod, scores.float()).double()
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    weights = torch.softmax(scores, -1).nan_to_num(0.0)
    return weights @ value.double()


def tensors(q_len=L, kv_len=L):
    return torch.randn(B, H, q_len, D), torch.randn(B, H, kv_len, D), torch.randn(B, H, kv_len, D)


@pytest.mark.parametrize("name", MASKS)
def test_mask(name):
    mod, q_len, kv_len = MASKS[name]
    expected = theirs.create_mask(mod, B, H, q_len, kv_len, device="cpu")
    assert torch.equal(fovea.create_mask(mod, B, H, q_len, kv_len), expected)

    ours = fovea.create_block_mask(mod, B, H, q_len, kv_len, BLOCK_SIZE=32)
    lists = theirs.create_block_mask(mod, B, H, q_len, kv_len, device="cpu", BLOCK_SIZE=32)
    for part in ("kv_num_blocks", "full_kv_num_blocks", "q_num_blocks", "full_q_num_blocks"):
        count = getattr(ours, part)
        assert torch.equal(count.expand_as(getattr(lists, part)), getattr(lists, part)), part
    assert torch.equal(ours.to_dense().expand_as(lists.to_dense()), lists.to_dense())

    query, key, value = tensors(q_len, kv_len)
    out = fovea.flex_attention(query, key, value, block_mask=ours)
    reference = attention(query, key, value, mask=expected)
    torch.testing.assert_close(out.double(), reference, atol=2e-5, rtol=1e-5)
    # torch's own mask object runs as well.
    torch.testing.assert_close(
        fovea.flex_attention(query, key, value, block_mask=lists), out, atol=2e-6, rtol=1e-6
    )


@pytest.mark.parametrize("name", SCORES)
def test_score(name):
    query, key, value = tensors()
    out = fovea.flex_attention(query, key, value, SCORES[name])
    reference = attention(query, key, value, SCORES[name])
    torch.testing.assert_close(out.double(), reference, atol=5e-5, rtol=1e-4)
