# SPDX-License-Identifier: Apache-2.0
"""Symbolic numbers, with which a mod is called once to write down its program.

Plain Python without caches or C calls, so that torch.compile can trace through it: what a trace
leaves is text, a list of tensors, and two lists of numbers (docs/program-text.md has the text
form).
"""

import torch

FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
INTEGERS = (torch.int32, torch.int64, torch.int16, torch.int8, torch.uint8)

_TEXT_OF_DTYPE = {
    torch.float64: "f64",
    torch.float32: "f32",
    torch.bfloat16: "bf16",
    torch.float16: "f16",
    torch.int64: "i64",
    torch.int32: "i32",
    torch.int16: "i16",
    torch.int8: "i8",
    torch.uint8: "u8",
    torch.bool: "bool",
}
KIND_OF_DTYPE = (
    {dtype: "f32" for dtype in FLOATS} | {dtype: "i32" for dtype in INTEGERS} | {torch.bool: "bool"}
)
_DTYPE_OF_KIND = {"f32": torch.float32, "i32": torch.int32, "bool": torch.bool}


class TraceError(RuntimeError):
    """A mod does what a program cannot: the message says what, where, and what to write instead."""


class Trace:
    """One program while it is written."""

    def __init__(self, inputs, device):
        self.inputs = inputs
        self.device = device
        self.lines = []
        self.captures = []
        self.integers = []
        self.floats = []
        self.is_pure = True  # False if tensors were computed on the way: then it must not be kept

    def input(self, name, kind):
        return Value(self, name, kind)

    def emit(self, text, kind):
        name = f"v{len(self.lines)}"
        self.lines.append(f"  {name} = {text}")
        return Value(self, name, kind)

    def number(self, x):
        """A literal becomes a parameter of its own: another value is the same program."""
        if isinstance(x, bool):
            return Value(self, "true" if x else "false", "bool")
        if isinstance(x, (int, torch.SymInt)):
            self.integers.append(x)
            return Value(self, f"n{len(self.integers) - 1}", "i32")
        if x == float("inf"):
            return Value(self, "inf", "f32")
        if x == float("-inf"):
            return Value(self, "(-inf)", "f32")
        if x != x:
            return Value(self, "nan", "f32")
        self.floats.append(x)
        return Value(self, f"x{len(self.floats) - 1}", "f32")

    def capture(self, tensor):
        for slot, known in enumerate(self.captures):
            if known is tensor:
                return slot
        if tensor.dtype not in _TEXT_OF_DTYPE:
            fail(
                f"captured tensor of dtype {tensor.dtype}",
                "one of float64, float32, bfloat16, float16, int64 to int8, uint8, bool",
            )
        self.captures.append(tensor)
        return len(self.captures) - 1

    def text(self, result):
        kinds = {"score": "score_mod", "w": "weight_mod", "b": "mask_mod"}
        declared = [
            f"t{i}: {_TEXT_OF_DTYPE[t.dtype]}[{t.dim()}]" for i, t in enumerate(self.captures)
        ]
        declared += [f"n{i}: i32" for i in range(len(self.integers))]
        declared += [f"x{i}: f32" for i in range(len(self.floats))]
        header = ", ".join(self.inputs) + ("; " + ", ".join(declared) if declared else "")
        body = "\n".join([*self.lines, f"  return {result.text}"])
        return f"{kinds[self.inputs[0]]}({header}) {{\n{body}\n}}"


def fail(what, instead):
    """Raises TraceError, naming the user's line where that can be found."""
    place = ""
    if not torch.compiler.is_compiling():
        place = _user_line()
    raise TraceError(
        f"[trace] {what}{place}: a mod is traced once, for all elements; use {instead}"
    )


def _user_line():
    import os
    import traceback

    here = os.path.dirname(os.path.abspath(__file__))
    there = os.path.dirname(os.path.abspath(torch.__file__))
    for frame in reversed(traceback.extract_stack()):
        folder = os.path.dirname(os.path.abspath(frame.filename))
        if not (folder.startswith(here) or folder.startswith(there)):
            return f" ({frame.filename}:{frame.lineno}: {frame.line})"
    return ""


def wider(a, b):
    for kind in ("f32", "i32"):
        if kind in (a, b):
            return kind
    return "bool"


class Value:
    """A 0-d number of a mod. Behaves as a 0-d tensor as far as a program can follow."""

    __array_ufunc__ = None  # numpy scalars leave operators to us
    __hash__ = None

    ndim = 0
    requires_grad = False
    is_cuda = False
    layout = torch.strided

    def __init__(self, trace, text, kind):
        self.trace = trace
        self.text = text
        self.kind = kind

    # What code asks a tensor about.
    @property
    def dtype(self):
        return _DTYPE_OF_KIND[self.kind]

    @property
    def device(self):
        return self.trace.device

    @property
    def shape(self):
        return torch.Size([])

    def size(self, dim=None):
        return torch.Size([])

    def dim(self):
        return 0

    def numel(self):
        return 1

    def is_floating_point(self):
        return self.kind == "f32"

    def type(self, dtype=None):
        return _operations.convert(self, dtype) if dtype is not None else str(self.dtype)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        from fovea._functions import call

        return call(func, args, kwargs or {})

    # Refused by name.
    def __bool__(self):
        fail(
            "a branch on a value (if, and, or, not, while, chained comparison)",
            "torch.where(condition, a, b), &, | and ~",
        )

    def __int__(self):
        fail("int() of a value", "value.to(torch.int32)")

    def __float__(self):
        fail("float() of a value", "value.to(torch.float32)")

    def __index__(self):
        fail("a value as a Python index or count", "indexing of a captured tensor")

    def __iter__(self):
        fail("iteration over a value", "arithmetic on it")

    def __len__(self):
        fail("len() of a value", "a number")

    def __setitem__(self, index, x):
        fail("a write into a value", "torch.where(condition, new, old)")

    def __contains__(self, x):
        fail("`in` on a value", "(a == b) | (a == c)")

    def item(self):
        fail(".item() of a value", "the value itself")

    def tolist(self):
        fail(".tolist() of a value", "the value itself")

    def __getitem__(self, index):
        if index is None or index is Ellipsis or index == ():
            return self
        fail("indexing of a number", "a captured tensor")

    # Operators.
    def __add__(self, other):
        return _operations.binary("+", self, other)

    def __radd__(self, other):
        return _operations.binary("+", other, self)

    def __sub__(self, other):
        return _operations.binary("-", self, other)

    def __rsub__(self, other):
        return _operations.binary("-", other, self)

    def __mul__(self, other):
        return _operations.binary("*", self, other)

    def __rmul__(self, other):
        return _operations.binary("*", other, self)

    def __truediv__(self, other):
        return _operations.divide(self, other)

    def __rtruediv__(self, other):
        return _operations.divide(other, self)

    def __floordiv__(self, other):
        return _operations.floor_divide(self, other)

    def __rfloordiv__(self, other):
        return _operations.floor_divide(other, self)

    def __mod__(self, other):
        return _operations.remainder(self, other)

    def __rmod__(self, other):
        return _operations.remainder(other, self)

    def __pow__(self, other):
        return _operations.power(self, other)

    def __rpow__(self, other):
        return _operations.power(other, self)

    def __lshift__(self, other):
        return _operations.shift("<<", self, other)

    def __rlshift__(self, other):
        return _operations.shift("<<", other, self)

    def __rshift__(self, other):
        return _operations.shift(">>", self, other)

    def __rrshift__(self, other):
        return _operations.shift(">>", other, self)

    def __and__(self, other):
        return _operations.binary("&", self, other)

    def __rand__(self, other):
        return _operations.binary("&", other, self)

    def __or__(self, other):
        return _operations.binary("|", self, other)

    def __ror__(self, other):
        return _operations.binary("|", other, self)

    def __xor__(self, other):
        return _operations.binary("^", self, other)

    def __rxor__(self, other):
        return _operations.binary("^", other, self)

    def __lt__(self, other):
        return _operations.compare("<", self, other)

    def __le__(self, other):
        return _operations.compare("<=", self, other)

    def __gt__(self, other):
        return _operations.compare(">", self, other)

    def __ge__(self, other):
        return _operations.compare(">=", self, other)

    def __eq__(self, other):
        return _operations.compare("==", self, other)

    def __ne__(self, other):
        return _operations.compare("!=", self, other)

    def __neg__(self):
        return _operations.unary("-", self)

    def __pos__(self):
        return self

    def __abs__(self):
        return _operations.function("abs", self)

    def __invert__(self):
        return _operations.unary("!" if self.kind == "bool" else "~", self)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        from fovea._functions import method

        return method(self, name)


# At the end, because operations are of values.
from fovea import _operations  # noqa: E402
