# SPDX-License-Identifier: Apache-2.0
"""flex_attention of the package: results, gradients, errors, and how it composes with torch."""

import functools

import dense
import fovea
import pytest
from torch.nn.attention import flex_attention as theirs

import torch


def qkv(b=2, h=4, q_len=96, kv_len=None, d=32, kv_heads=None, dtype=torch.float32, grad=False):
    kv_len, kv_heads = kv_len or q_len, kv_heads or h
    shapes = ((b, h, q_len, d), (b, kv_heads, kv_len, d), (b, kv_heads, kv_len, d))
    return [torch.randn(s, dtype=dtype).requires_grad_(grad) for s in shapes]


def causal(b, h, q_idx, kv_idx):
    return q_idx >= kv_idx


def block_mask(mod, q_len, kv_len=None, **options):
    return fovea.create_block_mask(mod, None, None, q_len, kv_len or q_len, **options)


class Slope(torch.nn.Module):
    """A mod that is a callable object with a parameter."""

    def __init__(self, heads, dtype=torch.float32):
        super().__init__()
        self.slopes = torch.nn.Parameter(torch.randn(heads, dtype=dtype))

    def forward(self, score, b, h, q_idx, kv_idx):
        return score + self.slopes[h] * (kv_idx - q_idx) * 0.05


def bias_mod(heads, length, dtype=torch.float32):
    table = torch.randn(heads, 2 * length - 1, dtype=dtype, requires_grad=True)

    def mod(score, b, h, q_idx, kv_idx):
        return score + table[h, q_idx - kv_idx + length - 1]

    return mod, [table]


def gate_mod(heads, length, dtype=torch.float32):
    gate = torch.randn(heads, length, dtype=dtype, requires_grad=True)
    cap = torch.tensor(5.0, dtype=dtype, requires_grad=True)

    def mod(score, b, h, q_idx, kv_idx):
        return cap * torch.tanh(score / cap) * torch.sigmoid(gate[h, q_idx]) + gate[h, kv_idx]

    return mod, [gate, cap]


def document_mod(heads, length, dtype=torch.float32):
    document = torch.arange(length) // 30
    bias = torch.randn(8, 8, dtype=dtype, requires_grad=True)

    def mod(score, b, h, q_idx, kv_idx):
        return score + bias[document[q_idx], document[kv_idx]]

    return mod, [bias]


MODS = {"bias": bias_mod, "gate": gate_mod, "document": document_mod}


@pytest.mark.parametrize(
    "q_len, kv_len, d, heads, kv_heads",
    [(1, 1, 8, 1, 1), (7, 13, 5, 2, 1), (127, 129, 33, 4, 2), (130, 70, 64, 6, 2)],
)
def test_shapes(q_len, kv_len, d, heads, kv_heads):
    query, key, value = qkv(2, heads, q_len, kv_len, d, kv_heads)
    aux = fovea.AuxRequest(lse=True)
    out, found = fovea.flex_attention(
        query,
        key,
        value,
        block_mask=block_mask(causal, q_len, kv_len),
        enable_gqa=True,
        return_aux=aux,
    )
    expected, lse = dense.attention(query, key, value, mask_mod=causal, lse=True)
    torch.testing.assert_close(out.double(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.lse.double(), lse, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", MODS)
@pytest.mark.parametrize("masked", [False, True])
def test_gradients(name, masked):
    query, key, value = qkv(2, 4, 75, kv_heads=2, grad=True)
    mod, captured = MODS[name](4, 75)
    mask = block_mask(causal, 75, BLOCK_SIZE=32) if masked else None
    out, aux = fovea.flex_attention(
        query, key, value, mod, mask, enable_gqa=True, return_aux=fovea.AuxRequest(lse=True)
    )
    dout, dlse = torch.randn_like(out), torch.randn_like(aux.lse)
    found = torch.autograd.grad((out, aux.lse), (query, key, value, *captured), (dout, dlse))
    expected, lse = dense.attention(query, key, value, mod, causal if masked else None, lse=True)
    wanted = torch.autograd.grad(
        (expected, lse), (query, key, value, *captured), (dout.double(), dlse.double())
    )
    for ours, theirs_ in zip(found, wanted, strict=True):
        scale = theirs_.abs().max()
        torch.testing.assert_close(
            ours / scale, theirs_ / scale, atol=2e-5, rtol=0, check_dtype=False
        )


def test_gradcheck_in_float64():
    query, key, value = qkv(1, 2, 9, 11, 4, dtype=torch.float64, grad=True)
    mod, (table,) = bias_mod(2, 11, torch.float64)
    mask = block_mask(causal, 9, 11)

    def run(query, key, value, table):
        return fovea.flex_attention(query, key, value, mod, mask)

    assert torch.autograd.gradcheck(run, (query, key, value, table))


def test_second_derivative_raises():
    query, key, value = qkv(1, 1, 8, grad=True)
    (grad,) = torch.autograd.grad(
        fovea.flex_attention(query, key, value).sum(), query, create_graph=True
    )
    with pytest.raises(RuntimeError, match="second derivatives"):
        grad.sum().backward()


def test_second_derivative_by_anything_raises():
    query, key, value = qkv(1, 2, 8, grad=True)
    slopes, sinks = (torch.randn(2, requires_grad=True) for _ in range(2))
    dout = torch.randn_like(query).requires_grad_()
    inputs = (query, key, value, slopes, sinks)
    out = fovea.flex_attention(
        query, key, value, lambda s, b, h, q, kv: s + slopes[h] * (q - kv), sinks=sinks
    )
    for grad in torch.autograd.grad(out, inputs, dout, create_graph=True):
        for x in (*inputs, dout):
            with pytest.raises(RuntimeError, match="second derivatives"):
                torch.autograd.grad(grad.sum(), x, retain_graph=True, allow_unused=True)


def test_unused_capture_gets_zeros_and_max_scores_none():
    query, key, value = qkv(1, 2, 16, grad=True)
    unused = torch.ones(2, requires_grad=True)

    def mod(score, b, h, q_idx, kv_idx):
        return score + torch.floor(unused[h])

    out, aux = fovea.flex_attention(
        query, key, value, mod, return_aux=fovea.AuxRequest(max_scores=True)
    )
    assert not aux.max_scores.requires_grad and aux.lse is None
    (grad,) = torch.autograd.grad(out.sum(), unused)
    assert torch.equal(grad, torch.zeros(2))


# What a mod may be, and what a trace remembers.


def test_mods_of_any_kind():
    query, key, value = qkv()
    slope = Slope(4)
    partial = functools.partial(lambda score, b, h, q, kv, by: score * by, by=0.5)
    for mod in (slope, partial, lambda score, b, h, q, kv: score.tanh().to(torch.float32) + 1):
        out = fovea.flex_attention(query, key, value, mod)
        torch.testing.assert_close(
            out.double(), dense.attention(query, key, value, mod), atol=1e-5, rtol=1e-4
        )


def test_changed_values_are_seen():
    query, key, value = qkv(1, 2, 32)
    slopes, offset = torch.ones(2), [1]

    def make(offset):
        def mod(score, b, h, q_idx, kv_idx):
            return score + slopes[h] * (kv_idx - q_idx + offset)

        return mod

    def mod(score, b, h, q_idx, kv_idx):
        return score * offset[0]

    for step in range(3):
        slopes.mul_(-0.5)
        offset[0] += 1
        for f in (make(step), mod):
            torch.testing.assert_close(
                fovea.flex_attention(query, key, value, f).double(),
                dense.attention(query, key, value, f),
                atol=1e-5,
                rtol=1e-4,
            )


@pytest.mark.parametrize(
    "mod, words",
    [
        (lambda s, b, h, q, kv: s if q > kv else 0 * s, "a branch on a value"),
        (lambda s, b, h, q, kv: s * q.item(), r"\.item\(\)"),
        (lambda s, b, h, q, kv: s.add_(1), "in-place operation add_"),
        (lambda s, b, h, q, kv: s + int(q), r"int\(\) of a value"),
        (lambda s, b, h, q, kv: torch.linalg.norm(s), "linalg_norm"),
        (lambda s, b, h, q, kv: s + torch.rand_like(s), "random numbers"),
        (lambda s, b, h, q, kv: None, "that returns NoneType"),
    ],
)
def test_what_cannot_be_traced_names_the_line(mod, words):
    with pytest.raises(fovea.TraceError, match=words) as caught:
        fovea.flex_attention(*qkv(), mod)
    if "returns" not in words:
        assert "test_flex.py" in str(caught.value)


def test_a_write_into_a_captured_tensor_is_refused():
    table = torch.zeros(8)

    def mod(score, b, h, q_idx, kv_idx):
        table[q_idx] = 1.0
        return score

    with pytest.raises(fovea.TraceError, match="a write into a tensor"):
        fovea.flex_attention(*qkv(), mod)


# Errors of torch's types.


def test_errors():
    query, key, value = qkv()
    flex = fovea.flex_attention
    with pytest.raises(ValueError, match="same embedding dimension"):
        flex(query, key[..., :16], value)
    with pytest.raises(ValueError, match="enable_gqa=True"):
        flex(query, key[:, :2], value[:, :2])
    with pytest.raises(ValueError, match="multiple of kv heads"):
        flex(query, key[:, :3], value[:, :3], enable_gqa=True)
    with pytest.raises(NotImplementedError, match="4D tensors"):
        flex(query[0], key[0], value[0])
    with pytest.raises(ValueError, match="_adjust"):
        flex(query, key, value, block_mask=block_mask(causal, 256))
    with pytest.raises(ValueError, match="smaller length"):
        flex(query, key, value, block_mask=block_mask(causal, 64))
    with pytest.raises(RuntimeError, match="sliced BlockMask"):
        flex(query, key, value, block_mask=block_mask(causal, 96)[0])
    with pytest.raises(ValueError, match="return_lse and return_aux"):
        flex(query, key, value, return_lse=True, return_aux=fovea.AuxRequest(lse=True))
    with pytest.raises(ValueError, match="kernel_options"):
        flex(query, key, value, kernel_options={"BLOCKM": 1})
    with pytest.raises(RuntimeError, match="BACKEND"):
        flex(
            query, key, value, kernel_options={"BACKEND": "AUTO", "FORCE_USE_FLEX_ATTENTION": True}
        )
    with pytest.raises(AssertionError, match="4 or 5 positional"):
        fovea.create_mask(lambda a, b: a, 1, 1, 8, 8)
    with pytest.raises(AssertionError, match="mask_mod"):
        fovea.create_block_mask(lambda s, b, h, q, kv: s, 1, 1, 8, 8)
    with pytest.raises(RuntimeError, match="callable"):
        fovea.and_masks(causal, 3)
    with pytest.raises(fovea.TraceError, match="mask_mod that returns a number"):
        fovea.create_block_mask(lambda b, h, q, kv: q - kv, 1, 1, 8, 8)


def test_every_kernel_option_of_torch_is_accepted():
    query, key, value = qkv()
    expected = fovea.flex_attention(query, key, value)
    for name in theirs.FlexKernelOptions.__annotations__:
        value_of = "AUTO" if name.endswith("BACKEND") else 16
        out = fovea.flex_attention(query, key, value, kernel_options={name: value_of})
        assert torch.equal(out, expected)


# With the rest of torch.


def test_opcheck():
    query, key, value = qkv(1, 2, 16, grad=True)
    table = torch.randn(31, requires_grad=True)
    ids = torch.arange(16)
    text = (
        "score_mod(score, b, h, q, kv; t0: f32[1], t1: i64[1], n0: i32) {\n"
        "  return score + t0[t1[q] - kv + n0]\n}"
    )
    arguments = (query, key, value, text, [table, ids], [15], [], "", [], [], [])
    arguments += (None, None, None, None, None, None, 0, None, False)
    torch.library.opcheck(torch.ops.fovea.flex_attention.default, arguments)


def compiled(f, **options):
    torch.compiler.reset()
    return torch.compile(f, fullgraph=True, **options)


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compile(backend):
    query, key, value = qkv(1, 2, 64, grad=True)
    mod, (table,) = bias_mod(2, 64)
    mask = block_mask(causal, 64)
    f = lambda q, k, v: fovea.flex_attention(q * 1.5, k, v, mod, mask).sum() * 2  # noqa: E731
    inputs = (query, key, value, table)
    expected = torch.autograd.grad(f(query, key, value), inputs)
    found = torch.autograd.grad(compiled(f, backend=backend)(query, key, value), inputs)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_a_mask_is_made_in_a_compiled_function():
    query, key, value = qkv(1, 2, 300)
    ends = torch.tensor([250])

    def f(q, k, v):
        mask = fovea.create_block_mask(
            lambda b, h, q_idx, kv_idx: (q_idx >= kv_idx) & (kv_idx < ends[0]), None, None, 300, 300
        )
        return fovea.flex_attention(q, k, v, block_mask=mask)

    found = compiled(f, backend="aot_eager")(query, key, value)
    torch.testing.assert_close(found, f(query, key, value), atol=1e-6, rtol=1e-6)


def test_compile_with_new_values_compiles_nothing():
    from torch._dynamo.testing import CompileCounterWithBackend

    counter = CompileCounterWithBackend("aot_eager")
    query, key, value = qkv(1, 2, 64)
    slopes = torch.ones(2)

    def step(q, k, v, offset):
        def mod(score, b, h, q_idx, kv_idx):
            return score + slopes[h] * (kv_idx - q_idx - offset)

        return fovea.flex_attention(q, k, v, mod)

    f = compiled(step, backend=counter, dynamic=True)
    f(query, key, value, 3)
    first = counter.frame_count
    for offset in (5, 9, 12):
        slopes.mul_(0.7)
        torch.testing.assert_close(
            f(query, key, value, offset), step(query, key, value, offset), atol=1e-6, rtol=1e-6
        )
    assert counter.frame_count == first


def test_vmap_over_batches():
    query, key, value = (x.reshape(2, 3, 4, 20, 8) for x in qkv(6, 4, 20, d=8))
    found = torch.vmap(fovea.flex_attention)(query, key, value)
    for i in range(2):
        assert torch.equal(found[i], fovea.flex_attention(query[i], key[i], value[i]))


def test_autocast():
    query, key, value = qkv()
    with torch.autocast("cpu", torch.bfloat16):
        out = fovea.flex_attention(query, key, value)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(
        out.double(), dense.attention(query, key, value), atol=2e-2, rtol=2e-2
    )


def test_checkpoint():
    query, key, value = qkv(1, 2, 40, grad=True)
    mod, (table,) = bias_mod(2, 40)
    run = lambda q, k, v: fovea.flex_attention(q, k, v, mod).square().sum()  # noqa: E731
    expected = torch.autograd.grad(run(query, key, value), (query, table))
    found = torch.utils.checkpoint.checkpoint(run, query, key, value, use_reentrant=False)
    for a, b in zip(torch.autograd.grad(found, (query, table)), expected, strict=True):
        assert torch.equal(a, b)


def test_layouts_follow_the_query():
    query, key, value = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in qkv())
    out = fovea.flex_attention(query, key, value)
    assert out.stride() == query.stride()
    assert torch.equal(out, fovea.flex_attention(*(x.contiguous() for x in (query, key, value))))


def test_explain_names_the_blocks_the_program_and_every_option():
    query, key, value = qkv(1, 2, 300)
    mod, _ = bias_mod(2, 300)
    options = {"BLOCK_M": 64, "fwd_num_warps": 4}
    text = fovea.explain(query, key, value, mod, block_mask(causal, 300), kernel_options=options)
    assert "score_mod(score, b, h, q, kv" in text
    assert "partial" in text
    assert "kernel option BLOCK_M=64: tile sizes are chosen from shapes" in text
    assert "kernel option fwd_num_warps=4: of Triton" in text
    with pytest.raises(ValueError, match="kernel_options: expected one of"):
        fovea.explain(query, key, value, kernel_options={"tiles": 3})


def test_a_mask_goes_to_torch_and_back():
    query, key, value = qkv(1, 2, 300)
    ours = block_mask(causal, 300)
    there = ours.to_torch()
    assert isinstance(there, theirs.BlockMask)
    expected = theirs.create_block_mask(causal, None, None, 300, 300, device="cpu")
    assert torch.equal(there.to_dense(), expected.to_dense())
    out = fovea.flex_attention(query, key, value, block_mask=there)
    assert torch.equal(out, fovea.flex_attention(query, key, value, block_mask=ours))
