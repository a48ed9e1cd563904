# SPDX-License-Identifier: Apache-2.0
"""What flex_attention takes beyond torch's: weights changed, sinks, sequences, pages, lengths."""

import itertools

import dense
import fovea
import pytest

import torch

HEADS, DIM = 4, 16


def qkv(q_len, kv_len, batch=1, kv_heads=2):
    shapes = ((batch, HEADS, q_len, DIM), *[(batch, kv_heads, kv_len, DIM)] * 2)
    return [torch.randn(s, requires_grad=True) for s in shapes]


def dense_weights(query, key, value, change):
    """In float64: softmax, then change(weights)."""
    query, key, value = query.double(), key.double(), value.double()
    key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
    weights = torch.softmax(query @ key.transpose(-2, -1) / DIM**0.5, -1)
    return change(weights) @ value


def expect_gradients(found, expected, inputs):
    dout = torch.randn_like(found)
    ours = torch.autograd.grad(found, inputs, dout)
    theirs = torch.autograd.grad(expected, inputs, dout.to(expected.dtype))
    torch.testing.assert_close(found.double(), expected.double(), atol=1e-5, rtol=1e-5)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.double(), b.double(), atol=5e-5, rtol=1e-4)


def test_weight_mod():
    query, key, value = qkv(33, 47)
    gate = torch.randn(47, requires_grad=True)
    found = fovea.flex_attention(
        query,
        key,
        value,
        enable_gqa=True,
        weight_mod=lambda w, b, h, q_idx, kv_idx: w * w + w * gate[kv_idx],
    )
    expected = dense_weights(query, key, value, lambda w: w * w + w * gate.double())
    expect_gradients(found, expected, (query, key, value, gate))


def test_dropout_drops_the_share_and_is_the_same_in_backward():
    query, key = (torch.zeros(1, 2, 256, DIM) for _ in range(2))
    value = torch.eye(256).expand(1, 2, 256, 256).clone().requires_grad_()
    out = fovea.flex_attention(query, key, value, dropout_p=0.3)
    kept = out.detach() * 256 * 0.7  # the weights are 1/256 each, kept ones divided by 0.7
    assert ((kept.abs() < 1e-4) | ((kept - 1).abs() < 1e-4)).all()
    assert abs((kept > 0.5).double().mean() - 0.7) < 0.01
    (dvalue,) = torch.autograd.grad(out, value, torch.ones_like(out))
    shares = (kept > 0.5).double().sum(2) / 256 / 0.7  # by key
    torch.testing.assert_close(dvalue[..., 0].double(), shares, atol=1e-5, rtol=1e-5)


def test_sinks():
    query, key, value = qkv(20, 30, batch=2)
    sinks = torch.randn(HEADS, requires_grad=True)
    found = fovea.flex_attention(query, key, value, enable_gqa=True, sinks=sinks)
    scores = query.double() @ key.double().repeat_interleave(2, 1).transpose(-2, -1) / DIM**0.5
    column = sinks.double().view(1, HEADS, 1, 1).expand(2, -1, 20, 1)
    weights = torch.softmax(torch.cat([scores, column], -1), -1)[..., :-1]
    expected = weights @ value.double().repeat_interleave(2, 1)
    expect_gradients(found, expected, (query, key, value, sinks))


def pieces(begins):
    return list(itertools.pairwise(begins))


@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_sequences_behind_each_other(index):
    q_begins, kv_begins = [0, 20, 20, 21, 70], [0, 33, 40, 40, 90]
    query, key, value = qkv(70, 90)
    slopes = torch.randn(4, HEADS, requires_grad=True)
    mod = lambda s, b, h, q, kv: s + slopes[b, h] * (q - kv) * 0.05  # noqa: E731
    found = fovea.flex_attention(
        query,
        key,
        value,
        mod,
        enable_gqa=True,
        causal="lower_right",
        cu_seqlens_q=torch.tensor(q_begins, dtype=index),
        cu_seqlens_kv=torch.tensor(kv_begins, dtype=index),
    )
    parts = []
    for b, ((q0, q1), (k0, k1)) in enumerate(zip(pieces(q_begins), pieces(kv_begins), strict=True)):
        alone = lambda s, _, h, q, kv, b=b: s + slopes[b, h].double() * (q - kv) * 0.05  # noqa: E731
        seen = lambda _, h, q, kv, d=(k1 - k0) - (q1 - q0): kv <= q + d  # noqa: E731
        rows = (query[:, :, q0:q1], key[:, :, k0:k1], value[:, :, k0:k1])
        if q1 > q0 and k1 > k0:
            parts.append(dense.attention(*rows, alone, seen))
        else:
            parts.append(rows[0].double() * 0)
    expect_gradients(found, torch.cat(parts, 2), (query, key, value, slopes))


def test_lengths_of_keys_hide_what_is_behind_them():
    query, key, value = qkv(9, 40, batch=2)
    with torch.no_grad():
        key[0, :, 17:] = value[0, :, 17:] = float("nan")
    found = fovea.flex_attention(
        query, key, value, enable_gqa=True, kv_lens=torch.tensor([17, 40], dtype=torch.int32)
    )
    expected = [
        dense.attention(query[b : b + 1], key[b : b + 1, :, :n], value[b : b + 1, :, :n])
        for b, n in enumerate((17, 40))
    ]
    expect_gradients(found, torch.cat(expected), (query, key, value))


def test_pages_with_a_block_mask():
    query, key, value = (x.detach() for x in qkv(32, 48, batch=2))
    table = torch.randperm(6)
    pages = []
    for x in (key, value):
        stretches = x.reshape(2, 2, 3, 16, DIM).transpose(1, 2).reshape(6, 2, 16, DIM)
        pages.append(torch.empty_like(stretches).index_copy_(0, table, stretches))
    causal = lambda b, h, q, kv: q + 16 >= kv  # noqa: E731
    mask = fovea.create_block_mask(causal, None, None, 32, 48, BLOCK_SIZE=16)
    found = fovea.flex_attention(
        query, *pages, block_mask=mask, enable_gqa=True, page_table=table.reshape(2, 3)
    )
    assert torch.equal(
        found, fovea.flex_attention(query, key, value, block_mask=mask, enable_gqa=True)
    )


@pytest.mark.parametrize(
    "options, words",
    [
        ({"sinks": torch.zeros(3)}, "sinks"),
        ({"cu_seqlens_q": torch.tensor([0, 20])}, "cu_seqlens"),
        ({"kv_lens": torch.tensor([41, 3])}, "kv_lens"),
        ({"kv_lens": torch.tensor([1.5, 3.0])}, "kv_lens"),
        ({"page_table": torch.full((2, 1), 7)}, "page_table"),
        ({"dropout_p": 1.5}, "probability"),
    ],
)
def test_errors(options, words):
    query, key, value = qkv(9, 40, batch=2)
    with pytest.raises(ValueError, match=words):
        fovea.flex_attention(query, key, value, enable_gqa=True, **options)
