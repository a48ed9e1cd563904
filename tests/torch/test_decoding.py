# SPDX-License-Identifier: Apache-2.0
"""Decoding from caches, and attention merged from parts."""

import dense
import fovea
import pytest

import torch


def cache(batch=2, heads=4, kv_heads=2, tokens=1, length=50, dim=8):
    query = torch.randn(batch, heads, tokens, dim)
    return query, *(torch.randn(batch, kv_heads, length, dim) for _ in range(2))


@pytest.mark.parametrize("tokens", [1, 3])
def test_decode_sees_what_came_before(tokens):
    query, key, value = cache(tokens=tokens)
    out, lse = fovea.decode(query, key, value, return_lse=True)
    mask = lambda b, h, q, kv: kv <= q + 50 - tokens  # noqa: E731
    expected, expected_lse = dense.attention(query, key, value, mask_mod=mask, lse=True)
    torch.testing.assert_close(out.double(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(lse.double(), expected_lse, atol=1e-5, rtol=1e-5)
    assert torch.equal(out, fovea.decode(query, key, value))


def test_decode_with_lengths_and_a_mod():
    query, key, value = cache()
    lengths = torch.tensor([17, 50])
    slopes = torch.randn(4)

    def mod(score, b, h, q_idx, kv_idx):
        return score + slopes[h] * (kv_idx - lengths[b]) * 0.1

    out = fovea.decode(query, key, value, mod, kv_lens=lengths)
    for b, n in enumerate(lengths.tolist()):

        def alone(score, _, h, q_idx, kv_idx, n=n):
            return score + slopes[h] * (kv_idx - n) * 0.1

        part = (x[b : b + 1] for x in (query, key[:, :, :n], value[:, :, :n]))
        expected = dense.attention(*part, alone)
        torch.testing.assert_close(out[b : b + 1].double(), expected, atol=1e-5, rtol=1e-5)


def test_decode_from_pages():
    query, key, value = cache(length=48)
    table = torch.randperm(6)  # stretch i of all lies in page table[i]
    pages = []
    for x in (key, value):
        stretches = x.reshape(2, 2, 3, 16, 8).transpose(1, 2).reshape(6, 2, 16, 8)
        pages.append(torch.empty_like(stretches).index_copy_(0, table, stretches))
    table = table.reshape(2, 3)
    lengths = torch.tensor([48, 21])
    out = fovea.decode(query, *pages, page_table=table, kv_lens=lengths)
    assert torch.equal(out, fovea.decode(query, key, value, kv_lens=lengths))


def parts(query, key, value, cuts):
    results = [
        fovea.flex_attention(
            query,
            key[:, :, a:b],
            value[:, :, a:b],
            enable_gqa=True,
            return_aux=fovea.AuxRequest(lse=True),
        )
        for a, b in cuts
    ]
    return [out for out, _ in results], [aux.lse for _, aux in results]


def test_merge_is_attention_over_all_with_gradients():
    query, key, value = (x.requires_grad_() for x in cache(tokens=5))
    outs, lses = parts(query, key, value, [(0, 20), (20, 20), (20, 49), (49, 50)])
    found = fovea.merge_attention(outs, lses)
    expected = dense.attention(query, key, value, lse=True)
    gradients = [torch.randn_like(x) for x in found]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.double(), b, atol=1e-5, rtol=1e-5)
    inputs = (query, key, value)
    ours = torch.autograd.grad(found, inputs, gradients)
    theirs = torch.autograd.grad(expected, inputs, [g.double() for g in gradients])
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.double(), b.double(), atol=2e-5, rtol=1e-4)


def test_merge_of_rows_without_keys():
    out, lse = torch.randn(1, 1, 2, 4), torch.tensor([[[0.5, float("-inf")]]])
    inputs = out.requires_grad_(), lse.requires_grad_()
    merged, total = fovea.merge_attention([inputs[0]] * 2, [inputs[1]] * 2)
    assert torch.equal(merged[0, 0, 1], torch.zeros(4))
    assert total[0, 0, 1] == float("-inf")
    for gradient in torch.autograd.grad((merged, total), inputs, (merged, torch.ones_like(total))):
        assert torch.isfinite(gradient).all()
        assert torch.equal(gradient[0, 0, 1], torch.zeros_like(gradient[0, 0, 1]))


def test_merge_passes_gradcheck():
    outs = [torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    lses = [torch.randn(1, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    merge = lambda *x: fovea.merge_attention(x[:3], x[3:])  # noqa: E731
    assert torch.autograd.gradcheck(merge, (*outs, *lses))


def test_merge_under_vmap_and_compile():
    query, key, value = cache(batch=6, tokens=2)
    outs, lses = parts(query, key, value, [(0, 20), (20, 50)])
    expected = fovea.merge_attention(outs, lses)
    split = lambda x: x.reshape(3, 2, *x.shape[1:])  # noqa: E731
    found = torch.vmap(lambda a, b, c, d: fovea.merge_attention([a, b], [c, d]))(
        *map(split, (*outs, *lses))
    )
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a.flatten(0, 1), b)
    torch.compiler.reset()
    compiled = torch.compile(fovea.merge_attention, fullgraph=True, backend="aot_eager")
    for a, b in zip(compiled(outs, lses), expected, strict=True):
        assert torch.equal(a, b)


def test_errors():
    query, key, value = cache()
    out, lse = fovea.decode(query, key, value, return_lse=True)
    with pytest.raises(ValueError, match="one lse for each of one or more outs, got 1 outs and 0"):
        fovea.merge_attention([out], [])
    with pytest.raises(ValueError, match="one lse for each of one or more outs, got 0 outs and 0"):
        fovea.merge_attention([], [])
    with pytest.raises(ValueError, match="out"):
        fovea.merge_attention([out, out[:, :2]], [lse, lse])
    with pytest.raises(ValueError, match="multiple of kv heads"):
        fovea.decode(query[:, :3], key, value)
    with pytest.raises(ValueError, match="kv_lens"):
        fovea.decode(query, key, value, kv_lens=torch.tensor([51, 3]))
