# SPDX-License-Identifier: Apache-2.0
"""Gradients that are long, cancelling sums: at most twice the error of the dense float32 one.

A fixed tolerance would say nothing here: how much such a sum loses depends on what cancels in it.
"""

import os

import fovea
import pytest

import torch

HEADS, Q_LEN, KV_LEN, DIM = 2, 17, 1023, 8
SEEDS = 12
ISAS = ("baseline", "avx2", "avx512", "avx512_bf16", "neon")


def usable(isa):
    """Whether this machine runs it: the library refuses what it does not."""
    os.environ["FOVEA_ISA"] = isa
    try:
        fovea.flex_attention(*(torch.ones(1, 1, 1, 4) for _ in range(3)))
    except (ValueError, RuntimeError):
        return False
    finally:
        del os.environ["FOVEA_ISA"]
    return True


USABLE = [isa for isa in ISAS if usable(isa)]


def dense(query, key, value, slopes, dout):
    """The gradient of the slopes, with the scores in memory, in the dtype of the tensors."""
    slopes = slopes.detach().requires_grad_()
    distance = torch.arange(Q_LEN).view(-1, 1) - torch.arange(KV_LEN)
    bias = slopes.view(-1, 1, 1) * distance.to(query.dtype) * 4 / KV_LEN
    scores = query @ key.transpose(-2, -1) / DIM**0.5 + bias
    out = torch.softmax(scores, -1) @ value
    return torch.autograd.grad(out, slopes, dout)[0]


def ours(query, key, value, slopes, dout):
    slopes = slopes.detach().requires_grad_()

    def mod(score, b, h, q_idx, kv_idx):
        return score + slopes[h] * (q_idx - kv_idx) * 4 / KV_LEN

    out = fovea.flex_attention(query, key, value, mod)
    return torch.autograd.grad(out, slopes, dout)[0]


@pytest.mark.parametrize("isa", USABLE)
def test_slopes(isa, monkeypatch):
    monkeypatch.setenv("FOVEA_ISA", isa)
    own, plain = [], []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        shapes = [(1, HEADS, n, DIM) for n in (Q_LEN, KV_LEN, KV_LEN, Q_LEN)]
        query, key, value, dout = (torch.randn(s) for s in shapes)
        tensors = (query, key, value, torch.randn(HEADS), dout)
        exact = dense(*(x.double() for x in tensors))
        own.append(ours(*tensors).double() - exact)
        plain.append(dense(*tensors).double() - exact)
    # Of many draws: a single error may be 0 by luck on either side.
    ours_rms, dense_rms = (torch.stack(x).square().mean().sqrt() for x in (own, plain))
    assert ours_rms <= 2 * dense_rms, f"{ours_rms:.2e} against {dense_rms:.2e} of the dense one"
