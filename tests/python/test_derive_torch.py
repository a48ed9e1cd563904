# SPDX-License-Identifier: Apache-2.0
"""Derivatives of programs against torch.autograd, in float64, ties and kinks included.

Where torch gives no number (a NaN or an infinity, such as 0 * inf from a branch of `where` that was
not taken) nothing is compared: there fovea may give the number that torch misses. And two exp or
pow may differ in their last bit, which can make or break a tie: such elements are few. How often
either may be is part of the test.
"""

import fovea_capi
import numpy
import pytest
from program_points import derivative, evaluate, gradients
from random_mods import GRID, HEADS, LENGTH, UNARY, random_mod

import torch

MODS, ELEMENTS = 600, 48
LARGE = 1e9  # beyond it, sums of float64 cancel


def elements(seed):
    """Scores, half of them on the grid, indices, and gradients of the result."""
    random = numpy.random.default_rng(seed)
    score = numpy.where(
        random.random(ELEMENTS) < 0.5,
        random.choice(GRID, ELEMENTS),
        random.normal(0, 2, ELEMENTS),
    )
    limits = (2, HEADS, LENGTH, LENGTH)
    indices = numpy.stack([random.integers(0, limit, ELEMENTS) for limit in limits], axis=1)
    return score, indices, random.normal(0, 1, ELEMENTS)


def leaves(mod, score, indices):
    """What torch differentiates, by name, and the indices."""
    named = {"score": torch.tensor(score)}
    named |= {f"t{i}": tensor.clone() for i, tensor in enumerate(mod.tensors)}
    named |= {f"p{i}": torch.tensor(param).double() for i, param in enumerate(mod.params)}
    for tensor in named.values():
        tensor.requires_grad_()
    at = {name: torch.tensor(indices[:, i]) for i, name in enumerate(("b", "h", "q", "kv"))}
    return named, at


def is_number(*arrays):
    return numpy.logical_and.reduce([numpy.isfinite(a) & (numpy.abs(a) < LARGE) for a in arrays])


def assert_same(got, expected, what):
    numpy.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-8, err_msg=what)


def as_numpy(gradient, like):
    return numpy.zeros(tuple(like.shape)) if gradient is None else gradient.numpy()


def test_random_mods():
    compared = skipped = ties = 0
    operations = set()
    for seed in range(MODS):
        mod = random_mod(seed, steps=1 + seed % 10)
        program = fovea_capi.Program(mod.text, mod.tensors)
        score, indices, dout = elements(seed)
        named, at = leaves(mod, score, indices)
        result = mod.torch(**named, **at).expand(ELEMENTS)
        values = result.detach().numpy()
        good = is_number(values)
        assert_same(
            evaluate(program, score, indices)[good], values[good], f"seed {seed}, {mod.text}"
        )
        if not result.requires_grad:
            continue
        dscore = torch.autograd.grad(
            result, named["score"], torch.tensor(dout), retain_graph=True, allow_unused=True
        )[0]
        dscore = as_numpy(dscore, score)
        good = is_number(dscore, values)
        got = gradients(program, score, indices, dout, params=2)
        same = numpy.isclose(got[0], dscore, rtol=1e-8, atol=1e-8)
        if (good & ~same).sum() > 1:
            assert_same(got[0][good], dscore[good], f"seed {seed}, dscore of\n{mod.text}")
        ties += (good & ~same).sum()
        good &= same
        compared += good.sum()
        skipped += (~good).sum()
        operations |= mod.operations

        # The tensors' gradients are sums over elements: over those where each part is a number.
        if not good.any():
            continue
        score, indices, dout = score[good], indices[good], dout[good]
        named, at = leaves(mod, score, indices)
        result = mod.torch(**named, **at).expand(len(score))
        expected = torch.autograd.grad(
            result, list(named.values()), torch.tensor(dout), allow_unused=True
        )
        expected = dict(zip(named, expected, strict=True))
        _, dcaptures, dparams = gradients(program, score, indices, dout, params=2)
        parts = {f"t{i}": part for i, part in enumerate(dcaptures)}
        parts |= {f"p{i}": part for i, part in enumerate(dparams)}
        for name, part in parts.items():
            want = as_numpy(expected[name], named[name])
            good = is_number(want)
            assert_same(
                numpy.asarray(part)[good], want[good], f"seed {seed}, d{name} of\n{mod.text}"
            )
            compared += good.sum()
            skipped += (~good).sum()
    print(f"compared {compared} gradients, skipped {skipped}, of last bits {ties}")
    assert ties < compared / 10000
    assert skipped < compared / 4
    assert operations >= {*UNARY, "min", "max", "pow", "power", "clamp", "where", "read"}


# Each on the whole grid of pairs: every tie and kink.
CASES = {
    "max(score, t0[h])": lambda s, t: torch.maximum(s, t),
    "min(score, t0[h])": lambda s, t: torch.minimum(s, t),
    "clamp(score, -1.0, 1.5)": lambda s, t: torch.clamp(s, -1.0, 1.5) + 0 * t,
    "max(score, 0.0)": lambda s, t: torch.clamp(s, min=0.0) + 0 * t,
    "min(score, -0.5)": lambda s, t: torch.clamp(s, max=-0.5) + 0 * t,
    "abs(score - t0[h])": lambda s, t: torch.abs(s - t),
    "score % t0[h]": lambda s, t: torch.remainder(s, t),
    "pow(score, t0[h])": lambda s, t: torch.pow(s, t),
    "pow(abs(score), t0[h])": lambda s, t: torch.pow(s.abs(), t),
    "pow(score, 2.0) + pow(t0[h], 0.0)": lambda s, t: torch.pow(s, 2.0) + torch.pow(t, 0.0),
    "pow(score, 0.5)": lambda s, t: torch.pow(s, 0.5) + 0 * t,
    "score / t0[h]": lambda s, t: s / t,
    "where(score < t0[h], score * 2.0, t0[h])": lambda s, t: torch.where(s < t, s * 2, t),
    "sqrt(abs(score * t0[h]))": lambda s, t: torch.sqrt(torch.abs(s * t)),
    "round(score) + floor(t0[h]) * score": lambda s, t: torch.round(s) + torch.floor(t) * s,
    "f32(score < t0[h]) + f32(i32(score))": lambda s, t: (
        (s < t).double() + s.to(torch.int64).double() + 0 * s + 0 * t
    ),
}


@pytest.mark.parametrize("text", CASES)
def test_ties_and_kinks(text):
    pairs = numpy.array([(s, t) for s in GRID for t in GRID])
    for s, t in pairs:
        table = torch.full((1,), t, dtype=torch.float64)
        program = fovea_capi.Program(
            f"score_mod(score, b, h, q, kv; t0: f64[1]) {{ return {text} + 0.0 * t0[h] }}", [table]
        )
        score = torch.tensor([s], dtype=torch.float64, requires_grad=True)
        other = torch.tensor([t], dtype=torch.float64, requires_grad=True)
        expected = torch.autograd.grad(CASES[text](score, other).sum(), [score, other])
        dscore, (dtable,), _ = gradients(program, [s], [[0, 0, 0, 0]], [1.0])
        for got, want in ((dscore, expected[0].numpy()), (dtable, expected[1].numpy())):
            if numpy.isfinite(want).all():
                assert_same(got, want, f"{text} at {s}, {t}")


def test_second_derivatives():
    compared = skipped = 0
    for seed in range(MODS, MODS + MODS // 3):
        mod = random_mod(seed, steps=1 + seed % 6)
        second = derivative(derivative(fovea_capi.Program(mod.text, mod.tensors)))
        score, indices, _ = elements(seed)
        named, at = leaves(mod, score, indices)
        result = mod.torch(**named, **at).expand(ELEMENTS)
        first = expected = None
        if result.requires_grad:
            (first,) = torch.autograd.grad(
                result.sum(), named["score"], create_graph=True, allow_unused=True
            )
        if first is not None and first.requires_grad:
            (expected,) = torch.autograd.grad(first.sum(), named["score"], allow_unused=True)
        want = as_numpy(expected, score)
        good = is_number(want, result.detach().numpy())
        if first is not None:
            good &= is_number(first.detach().numpy())
        got = evaluate(second, score, indices)
        assert_same(got[good], want[good], f"seed {seed} of\n{mod.text}\n{second}")
        compared += good.sum()
        skipped += (~good).sum()
    assert skipped < compared / 4


def test_what_torch_misses():
    """A branch that is not taken leaks nothing, where torch's gradient is a NaN."""
    program = fovea_capi.Program("where(score > 0.0, log(score) + sqrt(score), 3.0 * score)")
    score = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    torch.where(score > 0, score.log() + score.sqrt(), 3 * score).sum().backward()
    assert score.grad.isnan().all()
    assert gradients(program, [0.0], [[0, 0, 0, 0]], [1.0])[0] == 3


def test_errors_keep_their_text():
    mask = fovea_capi.Program("q >= kv")
    with pytest.raises(fovea_capi.FoveaError, match=r"\[derive\] program: expected a score_mod"):
        gradients(mask, [0.0], [[0, 0, 0, 0]], [1.0])
