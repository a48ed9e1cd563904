# SPDX-License-Identifier: Apache-2.0
"""scaled_dot_product_attention of the package against torch's, and the control of backends."""

import itertools

import fovea
import pytest
import torch.nn.functional as functional
from fovea.sdpa import Backend
from torch.nn.attention import bias as torch_bias

import torch


def qkv(*batch, q_len=20, kv_len=33, d=16, dtype=torch.float32, grad=False):
    shapes = ((q_len, d), (kv_len, d), (kv_len, d))
    return [torch.randn(*batch, *s, dtype=dtype).requires_grad_(grad) for s in shapes]


MASKS = {
    "none": lambda: None,
    "bool": lambda: torch.rand(2, 3, 20, 33) < 0.7,
    "bool keys": lambda: torch.rand(2, 1, 1, 33) < 0.7,
    "float": lambda: torch.randn(20, 33),
    "float heads": lambda: torch.randn(3, 1, 33),
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("scale", [None, 0.3])
def test_masks(name, scale):
    query, key, value = qkv(2, 3)
    mask = MASKS[name]()
    found = fovea.scaled_dot_product_attention(query, key, value, mask, scale=scale)
    expected = functional.scaled_dot_product_attention(query, key, value, mask, scale=scale)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (2, 1, 3)])
def test_any_number_of_batch_dimensions(batch):
    query, key, value = qkv(*batch)
    found = fovea.scaled_dot_product_attention(query, key, value, is_causal=True)
    expected = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("variant", ["causal_upper_left", "causal_lower_right"])
def test_causal_biases(variant):
    query, key, value = qkv(2, 3)
    ours, theirs = getattr(fovea, variant)(20, 33), getattr(torch_bias, variant)(20, 33)
    expected = functional.scaled_dot_product_attention(query, key, value, ours.materialize())
    for bias in (ours, theirs):
        found = fovea.scaled_dot_product_attention(query, key, value, bias)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_grouped_heads():
    query = torch.randn(2, 6, 20, 16)
    key, value = torch.randn(2, 2, 33, 16), torch.randn(2, 2, 33, 16)
    found = fovea.scaled_dot_product_attention(query, key, value, enable_gqa=True)
    expected = functional.scaled_dot_product_attention(query, key, value, enable_gqa=True)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backend", [Backend.FUSED_CPU, Backend.MATH, Backend.TORCH_MATH])
def test_every_backend_gives_the_same(backend):
    query, key, value = qkv(2, 3, grad=True)
    mask = torch.randn(20, 33, requires_grad=True)
    with fovea.sdpa_kernel(backend):
        out = fovea.scaled_dot_product_attention(query, key, value, mask)
    expected = functional.scaled_dot_product_attention(query, key, value, mask)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    dout = torch.randn_like(out)
    inputs = (query, key, value, mask)
    for a, b in zip(
        torch.autograd.grad(out, inputs, dout),
        torch.autograd.grad(expected, inputs, dout),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_refusals_are_warnings_data_and_errors():
    query, key, value = qkv(2, 3)
    reasons = fovea.can_use(Backend.TORCH_CUDNN, query, key, value)
    assert reasons == ["torch has it on cuda only, and the tensors are on cpu"]
    assert fovea.can_use(Backend.FUSED_CPU, query, key, value) == []
    with fovea.sdpa_kernel([Backend.FUSED_CUDA, Backend.MATH]):
        with pytest.warns(UserWarning, match="FUSED_CUDA refused: the tensors are on cpu"):
            fovea.scaled_dot_product_attention(query, key, value)
        assert "MATH: taken" in fovea.explain_sdpa(query, key, value)
    refused = pytest.raises(RuntimeError, match="No available kernel: FUSED_CUDA")
    with fovea.sdpa_kernel(Backend.FUSED_CUDA), pytest.warns(UserWarning), refused:
        fovea.scaled_dot_product_attention(query, key, value)
    with pytest.raises(ValueError, match="at least one"), fovea.sdpa_kernel([]):
        pass
    with pytest.raises(TypeError, match=r"fovea\.Backend"), fovea.sdpa_kernel("flash"):
        pass


def test_errors():
    query, key, value = qkv(2, 3)
    sdpa = fovea.scaled_dot_product_attention
    with pytest.raises(RuntimeError, match="same dtype"):
        sdpa(query, key.double(), value)
    with pytest.raises(RuntimeError, match="is_causal"):
        sdpa(query, key, value, torch.ones(20, 33, dtype=torch.bool), is_causal=True)
    with pytest.raises(RuntimeError, match="broadcasts"):
        sdpa(query, key, value, torch.ones(20, 32))
    with pytest.raises(RuntimeError, match="attn_mask dtype"):
        sdpa(query, key, value, torch.ones(20, 33, dtype=torch.int32))
    with pytest.raises(ValueError, match="dropout_p"):
        sdpa(query, key, value, dropout_p=1.5)
    with pytest.raises(ValueError, match="one head_dim"):
        sdpa(query, key[..., :8], value)
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        sdpa(query[0, 0, 0], key, value)


def test_dropout_keeps_the_mean_and_repeats_with_the_seed():
    query, key, value = qkv(1, 2, q_len=64, kv_len=256)
    value = torch.ones_like(value)
    torch.manual_seed(1)
    out = fovea.scaled_dot_product_attention(query, key, value, dropout_p=0.3)
    torch.manual_seed(1)
    again = fovea.scaled_dot_product_attention(query, key, value, dropout_p=0.3)
    other = fovea.scaled_dot_product_attention(query, key, value, dropout_p=0.3)
    assert torch.equal(out, again) and not torch.equal(out, other)
    assert abs(out.mean() - 1) < 0.05 and out.std() > 0.01
    gone = fovea.scaled_dot_product_attention(query, key, value, dropout_p=1.0)
    assert torch.equal(gone, torch.zeros_like(gone))


def nested(lengths, heads, d, grad=False):
    rows = [torch.randn(n, heads, d) for n in lengths]
    flat = torch.cat(rows).requires_grad_(grad)
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    return flat, torch.nested.nested_tensor_from_jagged(flat, offsets).transpose(1, 2), offsets


@pytest.mark.parametrize("is_causal", [False, True])
def test_nested_tensors(is_causal):
    lengths = (5, 1, 33, 17)
    flats, nests = [], []
    for _ in range(3):
        flat, nest, offsets = nested(lengths, 3, 16, grad=True)
        flats.append(flat)
        nests.append(nest)
    out = fovea.scaled_dot_product_attention(*nests, is_causal=is_causal)
    assert out.is_nested and out.shape[1] == 3
    rows = out.transpose(1, 2).values()
    parts = []
    for begin, end in itertools.pairwise(offsets):
        q, k, v = (f[begin:end].transpose(0, 1) for f in flats)
        one = functional.scaled_dot_product_attention(q, k, v, is_causal=is_causal)
        parts.append(one.transpose(0, 1))
    expected = torch.cat(parts)
    torch.testing.assert_close(rows, expected, atol=1e-5, rtol=1e-5)
    dout = torch.randn_like(rows)
    for a, b in zip(
        torch.autograd.grad(rows, flats, dout),
        torch.autograd.grad(expected, flats, dout),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_compile():
    query, key, value = qkv(2, 3)
    torch.compiler.reset()
    f = torch.compile(fovea.scaled_dot_product_attention, fullgraph=True, backend="aot_eager")
    for _ in range(2):
        torch.testing.assert_close(
            f(query, key, value, is_causal=True),
            functional.scaled_dot_product_attention(query, key, value, is_causal=True),
            atol=1e-5,
            rtol=1e-5,
        )
