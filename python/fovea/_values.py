# SPDX-License-Identifier: Apache-2.0
"""Symbolic numbers, with which a mod is called once to write down its program.

Plain Python without caches or C calls, so that torch.compile can trace through it: what a trace
leaves is text, a list of tensors, and two lists of numbers (docs/program-text.md has the text form).
"""

import torch

MOST_TERMS = 128  # of a small reduction, which is written out

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
_KIND_OF_DTYPE = (
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
    raise TraceError(f"[trace] {what}{place}: a mod is traced once, for all elements; use {instead}")


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


def _wider(a, b):
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
        return convert(self, dtype) if dtype is not None else str(self.dtype)

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
        return binary("+", self, other)

    def __radd__(self, other):
        return binary("+", other, self)

    def __sub__(self, other):
        return binary("-", self, other)

    def __rsub__(self, other):
        return binary("-", other, self)

    def __mul__(self, other):
        return binary("*", self, other)

    def __rmul__(self, other):
        return binary("*", other, self)

    def __truediv__(self, other):
        return divide(self, other)

    def __rtruediv__(self, other):
        return divide(other, self)

    def __floordiv__(self, other):
        return floor_divide(self, other)

    def __rfloordiv__(self, other):
        return floor_divide(other, self)

    def __mod__(self, other):
        return remainder(self, other)

    def __rmod__(self, other):
        return remainder(other, self)

    def __pow__(self, other):
        return power(self, other)

    def __rpow__(self, other):
        return power(other, self)

    def __lshift__(self, other):
        return shift("<<", self, other)

    def __rlshift__(self, other):
        return shift("<<", other, self)

    def __rshift__(self, other):
        return shift(">>", self, other)

    def __rrshift__(self, other):
        return shift(">>", other, self)

    def __and__(self, other):
        return binary("&", self, other)

    def __rand__(self, other):
        return binary("&", other, self)

    def __or__(self, other):
        return binary("|", self, other)

    def __ror__(self, other):
        return binary("|", other, self)

    def __xor__(self, other):
        return binary("^", self, other)

    def __rxor__(self, other):
        return binary("^", other, self)

    def __lt__(self, other):
        return compare("<", self, other)

    def __le__(self, other):
        return compare("<=", self, other)

    def __gt__(self, other):
        return compare(">", self, other)

    def __ge__(self, other):
        return compare(">=", self, other)

    def __eq__(self, other):
        return compare("==", self, other)

    def __ne__(self, other):
        return compare("!=", self, other)

    def __neg__(self):
        return unary("-", self)

    def __pos__(self):
        return self

    def __abs__(self):
        return function("abs", self)

    def __invert__(self):
        return unary("!" if self.kind == "bool" else "~", self)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        from fovea._functions import method

        return method(self, name)


class Vector:
    """A row of a captured tensor, or what was computed from rows: at most MOST_TERMS values."""

    __array_ufunc__ = None
    __hash__ = None
    ndim = 1

    def __init__(self, trace, values):
        self.trace = trace
        self.values = values

    @property
    def dtype(self):
        return self.values[0].dtype if self.values else torch.float32

    @property
    def device(self):
        return self.trace.device

    @property
    def shape(self):
        return torch.Size([len(self.values)])

    def size(self, dim=None):
        return self.shape if dim is None else self.shape[dim]

    def dim(self):
        return 1

    def numel(self):
        return len(self.values)

    def __len__(self):
        return len(self.values)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        from fovea._functions import call

        return call(func, args, kwargs or {})

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Vector(self.trace, self.values[index])
        if isinstance(index, int):
            return self.values[index]
        fail("indexing of a computed row by a value", "indexing of the captured tensor itself")

    def __iter__(self):
        return iter(self.values)

    def __bool__(self):
        fail("a branch on a row", "torch.where")

    def map(self, f, other=None):
        if other is None:
            return Vector(self.trace, [f(x) for x in self.values])
        others = other.values if isinstance(other, Vector) else [other] * len(self.values)
        if len(others) != len(self.values):
            fail(f"rows of lengths {len(self.values)} and {len(others)}", "rows of one length")
        return Vector(self.trace, [f(x, y) for x, y in zip(self.values, others)])

    def reduce(self, f, empty):
        """Pairwise, so that rounding errors do not add up."""
        values = self.values
        if not values:
            return self.trace.number(empty)
        while len(values) > 1:
            pairs = [f(values[i], values[i + 1]) for i in range(0, len(values) - 1, 2)]
            values = pairs + ([values[-1]] if len(values) % 2 else [])
        return values[0]

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        from fovea._functions import method

        return method(self, name)


def _elementwise(name):
    operator = getattr(Value, name)

    def apply(self, other):
        return self.map(lambda x, y: operator(x, y), other)

    return apply


for _name in (
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow and rand or "
    "ror xor rxor lt le gt ge eq ne lshift rshift"
).split():
    setattr(Vector, f"__{_name}__", _elementwise(f"__{_name}__"))
Vector.__neg__ = lambda self: self.map(lambda x: -x)
Vector.__abs__ = lambda self: self.map(lambda x: abs(x))
Vector.__invert__ = lambda self: self.map(lambda x: ~x)


class Partial:
    """A captured tensor of which some indices are given: `table[b]`, to be indexed further."""

    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, trace, tensor, indices):
        self.trace = trace
        self.tensor = tensor
        self.indices = indices

    @property
    def shape(self):
        return self.tensor.shape[len(self.indices) :]

    @property
    def dtype(self):
        return self.tensor.dtype

    @property
    def device(self):
        return self.tensor.device

    @property
    def ndim(self):
        return len(self.shape)

    def dim(self):
        return self.ndim

    def size(self, dim=None):
        return self.shape if dim is None else self.shape[dim]

    def __len__(self):
        return self.shape[0]

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        from fovea._functions import call

        return call(func, args, kwargs or {})

    def __getitem__(self, index):
        return index_tensor(self.trace, self.tensor, index, self.indices)

    def __iter__(self):
        return iter(self.row().values)

    def __bool__(self):
        fail("a branch on a row", "torch.where")

    def row(self):
        if self.ndim != 1 or self.shape[0] > MOST_TERMS:
            fail(
                f"a computation on a part of shape {list(self.shape)} of a captured tensor",
                f"all of its indices, or a row of at most {MOST_TERMS} elements",
            )
        return Vector(self.trace, [self[i] for i in range(self.shape[0])])

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.row(), name)


def _of_row(name):
    def apply(self, other):
        return getattr(self.row(), name)(other)

    return apply


for _name in (
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow and rand or "
    "ror xor rxor lt le gt ge eq ne lshift rshift"
).split():
    setattr(Partial, f"__{_name}__", _of_row(f"__{_name}__"))
Partial.__neg__ = lambda self: -self.row()
Partial.__abs__ = lambda self: abs(self.row())
Partial.__invert__ = lambda self: ~self.row()

SYMBOLIC = (Value, Vector, Partial)


def trace_of(*operands):
    for x in operands:
        if isinstance(x, SYMBOLIC):
            return x.trace
    return None


def lift(trace, x):
    """Any operand as a Value or Vector."""
    if isinstance(x, (Value, Vector)):
        return x
    if isinstance(x, Partial):
        return x.row()
    if isinstance(x, torch.Tensor):
        if x.dim() == 0:
            return Value(trace, f"t{trace.capture(x)}", _KIND_OF_DTYPE[x.dtype])
        return Partial(trace, x, []).row()
    if isinstance(x, (bool, int, float, torch.SymInt, torch.SymFloat)):
        return trace.number(x)
    if hasattr(x, "dtype") and hasattr(x, "item"):  # a numpy scalar
        return trace.number(x.item())
    fail(f"an operand of type {type(x).__name__}", "tensors and numbers")


def _map_rows(f, *operands):
    """f on Values; element by element if any operand is a row."""
    rows = [x for x in operands if isinstance(x, Vector)]
    if not rows:
        return f(*operands)
    length = len(rows[0].values)
    for row in rows:
        if len(row.values) != length:
            fail(f"rows of lengths {length} and {len(row.values)}", "rows of one length")
    columns = [x.values if isinstance(x, Vector) else [x] * length for x in operands]
    return Vector(rows[0].trace, [f(*values) for values in zip(*columns)])


def lifted(f, *operands):
    trace = trace_of(*operands)
    return _map_rows(f, *[lift(trace, x) for x in operands])


def binary(symbol, a, b):
    return lifted(
        lambda x, y: x.trace.emit(f"{x.text} {symbol} {y.text}", _wider(x.kind, y.kind)), a, b
    )


def compare(symbol, a, b):
    return lifted(lambda x, y: x.trace.emit(f"{x.text} {symbol} {y.text}", "bool"), a, b)


def unary(symbol, a):
    return lifted(lambda x: x.trace.emit(f"{symbol}{x.text}", x.kind), a)


def function(name, *operands, kind=None):
    def apply(*xs):
        result = xs[0].kind if kind is None else kind
        if kind is None:
            for x in xs[1:]:
                result = _wider(result, x.kind)
        return xs[0].trace.emit(f"{name}({', '.join(x.text for x in xs)})", result)

    return lifted(apply, *operands)


def select(condition, a, b):
    def apply(c, x, y):
        test = c.text if c.kind == "bool" else f"bool({c.text})"
        return c.trace.emit(f"where({test}, {x.text}, {y.text})", _wider(x.kind, y.kind))

    return lifted(apply, condition, a, b)


def convert(a, dtype):
    if dtype not in _KIND_OF_DTYPE:
        fail(f"a conversion to {dtype}", "a float, integer or bool dtype")
    kind = _KIND_OF_DTYPE[dtype]

    def apply(x):
        return x if x.kind == kind else x.trace.emit(f"{kind}({x.text})", kind)

    return lifted(apply, a)


def _constant(x, what):
    """A number that shapes the program: a divisor, a shift count, an exponent."""
    if isinstance(x, bool) or not isinstance(x, (int, torch.SymInt)):
        return None
    return int(x)


def divide(a, b):
    def apply(x, y):
        return x.trace.emit(f"f32({x.text}) / f32({y.text})", "f32")

    return lifted(apply, a, b)


def _by_integer(symbol, a, b):
    """Of integers, with a literal divisor as a constant, by which the bounds of masks are sharp."""
    divisor = _constant(b, "divisor")

    def apply(x, y):
        if divisor is not None and x.kind != "f32":
            return x.trace.emit(f"{x.text} {symbol} {divisor}", "i32")
        return x.trace.emit(f"{x.text} {symbol} {y.text}", _wider(x.kind, y.kind))

    if divisor is not None:
        trace = trace_of(a, b)
        left = lift(trace, a)
        if all(x.kind != "f32" for x in (left.values if isinstance(left, Vector) else [left])):
            return lifted(
                lambda x: x.trace.emit(f"{x.text} {symbol} ({divisor})", "i32"), left
            )
    return lifted(apply, a, b)


def remainder(a, b):
    return _by_integer("%", a, b)


def floor_divide(a, b):
    trace = trace_of(a, b)
    kinds = []
    for x in (a, b):
        y = lift(trace, x) if not isinstance(x, (int, float, torch.SymInt)) else x
        if isinstance(y, Vector):
            y = y.values[0]
        kinds.append("f32" if isinstance(y, float) else getattr(y, "kind", "i32"))
    if "f32" in kinds:
        return function("floor", divide(a, b))
    return _by_integer("/", a, b)


def power(a, b):
    exponent = b if isinstance(b, (int, float)) and not isinstance(b, bool) else None
    if exponent is not None and not isinstance(exponent, torch.SymInt):
        return lifted(
            lambda x: x.trace.emit(
                f"pow({x.text}, {exponent})", "f32" if isinstance(exponent, float) else x.kind
            ),
            a,
        )
    return function("pow", a, b)


def shift(symbol, a, b):
    count = _constant(b, "shift count")
    if count is not None:
        return lifted(lambda x: x.trace.emit(f"{x.text} {symbol} {count}", "i32"), a)
    return lifted(lambda x, y: x.trace.emit(f"{x.text} {symbol} {y.text}", "i32"), a, b)


def index_tensor(trace, tensor, index, before=()):
    """`tensor[index]` with at least one symbolic index: all of them, or the leading ones."""
    given = list(index) if isinstance(index, tuple) else [index]
    if any(i is Ellipsis for i in given):
        at = [i is Ellipsis for i in given].index(True)
        missing = tensor.dim() - len(before) - (len(given) - 1)
        if missing > 0:
            if at + 1 < len(given):
                fail("`...` before an index", "all leading indices")
            given = given[:at]
        else:
            given = given[:at] + given[at + 1 :]
    indices = list(before)
    for i in given:
        if isinstance(i, slice):
            if i == slice(None) and i is given[-1]:
                continue
            fail("a slice of a captured tensor inside a mod", "single indices")
        if i is None:
            fail("None as an index", "single indices")
        position = len(indices)
        if isinstance(i, bool) or not isinstance(i, (*SYMBOLIC, torch.Tensor, int, torch.SymInt)):
            fail(f"an index of type {type(i).__name__}", "integers")
        if isinstance(i, int) and i < 0:
            i += tensor.shape[position]
        value = lift(trace, i)
        if isinstance(value, Vector):
            return Vector(
                trace,
                [
                    index_tensor(trace, tensor, (*indices[len(before) :], x, *given[position - len(before) + 1 :]), before)
                    for x in value.values
                ],
            )
        if value.kind == "f32":
            fail("a float as an index", "value.to(torch.int32)")
        if value.kind == "bool":
            value = convert(value, torch.int32)
        indices.append(value)
    if len(indices) > tensor.dim():
        raise IndexError(
            f"too many indices for a captured tensor of dimension {tensor.dim()}: {len(indices)}"
        )
    if len(indices) < tensor.dim():
        return Partial(trace, tensor, indices)
    slot = trace.capture(tensor)
    kind = _KIND_OF_DTYPE[tensor.dtype]
    return trace.emit(f"t{slot}[{', '.join(i.text for i in indices)}]", kind)
