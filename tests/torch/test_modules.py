# SPDX-License-Identifier: Apache-2.0
"""CausalSelfAttention, against the same module on torch's own attention."""

import fovea
import pytest
import torch.nn.functional as functional

import torch

HEADS, WIDTH = 4, 32


class Plain(torch.nn.Module):
    """As PyTorch's tutorial writes it."""

    def __init__(self, bias, is_causal):
        super().__init__()
        self.c_attn = torch.nn.Linear(WIDTH, 3 * WIDTH, bias=bias)
        self.c_proj = torch.nn.Linear(WIDTH, WIDTH, bias=bias)
        self.is_causal = is_causal

    def forward(self, x):
        batch, length, _ = x.shape
        query, key, value = (
            part.view(batch, length, HEADS, -1).transpose(1, 2)
            for part in self.c_attn(x).chunk(3, -1)
        )
        out = functional.scaled_dot_product_attention(query, key, value, is_causal=self.is_causal)
        return self.c_proj(out.transpose(1, 2).reshape(batch, length, WIDTH))


def twins(bias=True, is_causal=True):
    plain = Plain(bias, is_causal)
    ours = fovea.CausalSelfAttention(HEADS, WIDTH, bias=bias, is_causal=is_causal)
    ours.load_state_dict(plain.state_dict())
    return plain, ours


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_outputs_and_gradients(bias, is_causal):
    plain, ours = twins(bias, is_causal)
    x = torch.randn(3, 45, WIDTH)
    weights = torch.randn(3, 45, WIDTH)
    inputs, outputs = [], []
    for module in (plain, ours):
        inputs.append(x.clone().requires_grad_())
        outputs.append(module(inputs[-1]))
        (outputs[-1] * weights).sum().backward()
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(inputs[1].grad, inputs[0].grad, rtol=1e-4, atol=1e-5)
    for a, b in zip(plain.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("training", [False, True])
def test_compiled(training):
    _, ours = twins()
    ours.train(training)
    x = torch.randn(2, 33, WIDTH)
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), ours(x))


def test_jagged():
    plain, ours = twins()
    rows = [torch.randn(n, WIDTH) for n in (5, 1, 17)]
    got = ours(torch.nested.nested_tensor(rows, layout=torch.jagged))
    assert got.is_nested
    for row, expected in zip(got.unbind(), rows, strict=True):
        torch.testing.assert_close(row, plain(expected[None])[0], rtol=1e-5, atol=1e-6)


def test_dropout_in_training_alone():
    ours = fovea.CausalSelfAttention(HEADS, WIDTH, dropout=0.5)
    x = torch.randn(2, 20, WIDTH)
    assert not torch.equal(ours(x), ours(x))
    ours.eval()
    assert torch.equal(ours(x), ours(x))


def test_errors():
    with pytest.raises(ValueError, match="expected a multiple of num_heads = 4, got 30"):
        fovea.CausalSelfAttention(4, 30)
    with pytest.raises(ValueError, match=r"x: expected \(batch, length, 32\), got \(2, 5, 31\)"):
        twins()[1](torch.zeros(2, 5, 31))
