# SPDX-License-Identifier: Apache-2.0
"""Types and values of every operation on bools, integers and floats, as torch has them."""

import itertools

import numpy
import pytest
from fovea_capi import FoveaError, Program
from program_points import evaluate

import torch

NUMBERS = {
    "bool": torch.tensor([True, False] * 32),
    "i32": torch.tensor([(7 * i) % 23 - 11 for i in range(64)], dtype=torch.int32),
    "f64": torch.tensor([((5 * i) % 17 - 8) / 2 for i in range(64)], dtype=torch.float64),
}
OTHERS = {
    "bool": torch.tensor(([True] * 3 + [False]) * 16),
    "i32": torch.tensor([(3 * i) % 9 - 4 or 5 for i in range(64)], dtype=torch.int32),
    "f64": torch.tensor([((3 * i) % 11 - 5) / 4 or 0.5 for i in range(64)], dtype=torch.float64),
}
BINARY = {
    "a + b": torch.add,
    "a - b": torch.sub,
    "a * b": torch.mul,
    "f32(a) / b": torch.div,
    "a % b": torch.remainder,
    "min(a, b)": torch.minimum,
    "max(a, b)": torch.maximum,
    "a == b": torch.eq,
    "a != b": torch.ne,
    "a < b": torch.lt,
    "a <= b": torch.le,
    "a > b": torch.gt,
    "a >= b": torch.ge,
    "a & b": torch.bitwise_and,
    "a | b": torch.bitwise_or,
    "a ^ b": torch.bitwise_xor,
    "where(a > b, a, b)": lambda a, b: torch.where(a > b, a, b),
    "bool(a) && bool(b)": torch.logical_and,
    "bool(a) || bool(b)": torch.logical_or,
    "a << (b & 7)": lambda a, b: a << (b & 7),
    "a >> (b & 7)": lambda a, b: a >> (b & 7),
}
INTEGERS_ONLY = {"a / b": torch.floor_divide}  # in a program, `/` of two integers is torch's //
UNARY = {
    "-a": torch.neg,
    "abs(a)": torch.abs,
    "floor(a)": torch.floor,
    "ceil(a)": torch.ceil,
    "trunc(a)": torch.trunc,
    "round(a)": torch.round,
    "~a": torch.bitwise_not,
    "!bool(a)": torch.logical_not,
    "i32(a)": lambda a: a.to(torch.int32),
    "f32(a)": lambda a: a.double(),
    "exp(a)": torch.exp,
    "tanh(a)": torch.tanh,
    "pow(a, 3)": lambda a: torch.pow(a, 3),
    "pow(a, 0.5)": lambda a: torch.pow(a, 0.5),
}


def kind_of(dtype):
    return "bool" if dtype == torch.bool else "f" if dtype.is_floating_point else "i"


def ours(text, captures):
    """Values, and the type of the expression: half of it is a floor division for integers alone."""
    arrays = [array.numpy() for array in captures]
    names = ["a", "b"][: len(arrays)]
    kinds = ["bool" if a.dtype == bool else {"i": "i32", "f": "f64"}[a.dtype.kind] for a in arrays]
    slots = ", ".join(f"t{i}: {kind}[1]" for i, kind in enumerate(kinds))
    reads = " ".join(f"{name} = t{i}[q];" for i, name in enumerate(names))

    def values(result):
        # `0 * ...` keeps the captures in their order and changes nothing.
        keep = " + ".join(f"0.0 * f32({name})" for name in names)
        program = (
            f"score_mod(score, batch, h, q, kv; {slots}) {{ {reads} return {keep} + {result} }}"
        )
        indices = numpy.zeros((64, 4), numpy.int64)
        indices[:, 2] = numpy.arange(64)
        return evaluate(Program(program, arrays), numpy.zeros(64), indices)

    value = values(f"f32({text})")
    try:
        values(f"f32({text} && true)")
        return value, "bool"
    except FoveaError:
        pass
    try:
        values(f"f32(({text}) << 0)")
        return value, "i"
    except FoveaError:
        return value, "f"


def compare(text, function, captures):
    try:
        expected = function(*captures)
    except (RuntimeError, NotImplementedError) as error:
        by_zero = "ZeroDivision" in str(error)
        with pytest.raises(FoveaError, match="integer divisor" if by_zero else r"operands? of"):
            ours(text, captures)
        return
    got, kind = ours(text, captures)
    assert kind == kind_of(expected.dtype), f"{text} of {[c.dtype for c in captures]}"
    finite = numpy.isfinite(expected.double().numpy())
    numpy.testing.assert_allclose(got[finite], expected.double().numpy()[finite], rtol=1e-6)


@pytest.mark.parametrize("types", list(itertools.product(NUMBERS, OTHERS)))
@pytest.mark.parametrize("text", BINARY)
def test_binary(text, types):
    compare(text, BINARY[text], (NUMBERS[types[0]], OTHERS[types[1]]))


@pytest.mark.parametrize("types", list(itertools.product(("bool", "i32"), repeat=2)))
@pytest.mark.parametrize("text", INTEGERS_ONLY)
def test_floor_division(text, types):
    others = OTHERS | {"bool": torch.ones(64, dtype=torch.bool)}
    compare(text, INTEGERS_ONLY[text], (NUMBERS[types[0]], others[types[1]]))


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("text", UNARY)
def test_unary(text, kind):
    compare(text, UNARY[text], (NUMBERS[kind],))
