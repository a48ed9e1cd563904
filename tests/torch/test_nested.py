# SPDX-License-Identifier: Apache-2.0
"""Jagged NestedTensors through flex_attention, against each sequence by itself."""

import fovea
import pytest

import torch

LENGTHS = (5, 0, 33, 1, 17)
HEADS, DIM = 4, 8


def jagged(lengths, heads, dim=DIM):
    """The packed rows, which want a gradient, and the nested tensor of them."""
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    rows = torch.randn(int(offsets[-1]), heads, dim, requires_grad=True)
    return rows, torch.nested.nested_tensor_from_jagged(rows, offsets).transpose(1, 2)


def pieces(rows, lengths):
    return [part.transpose(0, 1)[None] for part in rows.split(lengths)]


def alibi(slopes):
    return lambda score, b, h, q_idx, kv_idx: score + slopes[b, h] * (q_idx - kv_idx)


def causal(b, h, q_idx, kv_idx):
    return q_idx >= kv_idx


def by_sequence(b, h, q_idx, kv_idx):
    return kv_idx <= q_idx + 3 * b + h


@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize("mod, batch", [(causal, 1), (by_sequence, len(LENGTHS)), (None, 1)])
def test_each_sequence(mod, batch, kv_heads):
    q_rows, query = jagged(LENGTHS, HEADS)
    kv_lengths = (7, 3, 20, 1, 17)
    k_rows, key = jagged(kv_lengths, kv_heads)
    v_rows, value = jagged(kv_lengths, kv_heads)
    slopes = torch.randn(len(LENGTHS), HEADS, requires_grad=True)
    mask = None
    if mod is not None:
        mask = fovea.create_nested_block_mask(mod, batch, HEADS, query, key, BLOCK_SIZE=16)
    out, aux = fovea.flex_attention(
        query,
        key,
        value,
        alibi(slopes),
        mask,
        enable_gqa=True,
        return_aux=fovea.AuxRequest(lse=True),
    )
    assert out.is_nested and aux.lse.is_nested and aux.max_scores is None

    expected, expected_lse = [], []
    for n, (q, k, v) in enumerate(
        zip(
            pieces(q_rows, LENGTHS),
            pieces(k_rows, kv_lengths),
            pieces(v_rows, kv_lengths),
            strict=True,
        )
    ):
        k, v = (x.repeat_interleave(HEADS // kv_heads, 1) for x in (k, v))
        rows, keys = torch.arange(q.size(2))[:, None], torch.arange(k.size(2))
        scores = q @ k.transpose(-2, -1) * DIM**-0.5 + slopes[n, :, None, None] * (rows - keys)
        if mod is not None:
            heads = torch.arange(HEADS)[:, None, None]
            scores = scores.masked_fill(~mod(n, heads, rows, keys), float("-inf"))
        expected.append((torch.softmax(scores, -1) @ v)[0])
        expected_lse.append(torch.logsumexp(scores, -1)[0])
    weights = [torch.randn_like(x) for x in expected]
    for got, lse, right, right_lse in zip(
        out.unbind(), aux.lse.unbind(), expected, expected_lse, strict=True
    ):
        torch.testing.assert_close(got, right, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(lse, right_lse, rtol=1e-5, atol=1e-5)
    inputs = (q_rows, k_rows, v_rows, slopes)
    pairs = zip(out.unbind(), weights, strict=True)
    got = torch.autograd.grad(sum((x * w).sum() for x, w in pairs), inputs)
    pairs = zip(expected, weights, strict=True)
    right = torch.autograd.grad(sum((x * w).sum() for x, w in pairs), inputs)
    for a, b in zip(got, right, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_errors():
    _, query = jagged(LENGTHS, HEADS)
    dense = torch.randn(2, HEADS, 5, DIM)
    with pytest.raises(ValueError, match="q_nt: expected a jagged NestedTensor, got Tensor"):
        fovea.create_nested_block_mask(causal, 1, None, dense)
    with pytest.raises(ValueError, match="B: expected 1 or the 5 sequences of q_nt, got 2"):
        fovea.create_nested_block_mask(causal, 2, None, query)
    with pytest.raises(ValueError, match="expected all of them nested or none, got a mixture"):
        fovea.flex_attention(query, dense, dense)
    with pytest.raises(ValueError, match="expected no cu_seqlens and no page_table"):
        fovea.flex_attention(query, query, query, cu_seqlens_q=torch.tensor([0, 1]))
