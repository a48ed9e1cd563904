# SPDX-License-Identifier: Apache-2.0
"""Operations on symbolic values, as text of the program."""

import torch
from fovea._rows import Partial, Vector
from fovea._values import KIND_OF_DTYPE, Value, fail, wider

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
            return Value(trace, f"t{trace.capture(x)}", KIND_OF_DTYPE[x.dtype])
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
    return Vector(rows[0].trace, [f(*values) for values in zip(*columns, strict=False)])


def lifted(f, *operands):
    trace = trace_of(*operands)
    return _map_rows(f, *[lift(trace, x) for x in operands])


def binary(symbol, a, b):
    return lifted(
        lambda x, y: x.trace.emit(f"{x.text} {symbol} {y.text}", wider(x.kind, y.kind)), a, b
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
                result = wider(result, x.kind)
        return xs[0].trace.emit(f"{name}({', '.join(x.text for x in xs)})", result)

    return lifted(apply, *operands)


def select(condition, a, b):
    def apply(c, x, y):
        test = c.text if c.kind == "bool" else f"bool({c.text})"
        return c.trace.emit(f"where({test}, {x.text}, {y.text})", wider(x.kind, y.kind))

    return lifted(apply, condition, a, b)


def convert(a, dtype):
    if dtype not in KIND_OF_DTYPE:
        fail(f"a conversion to {dtype}", "a float, integer or bool dtype")
    kind = KIND_OF_DTYPE[dtype]

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
        return x.trace.emit(f"{x.text} {symbol} {y.text}", wider(x.kind, y.kind))

    if divisor is not None:
        trace = trace_of(a, b)
        left = lift(trace, a)
        if all(x.kind != "f32" for x in (left.values if isinstance(left, Vector) else [left])):
            return lifted(lambda x: x.trace.emit(f"{x.text} {symbol} ({divisor})", "i32"), left)
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
                    index_tensor(
                        trace,
                        tensor,
                        (*indices[len(before) :], x, *given[position - len(before) + 1 :]),
                        before,
                    )
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
    kind = KIND_OF_DTYPE[tensor.dtype]
    return trace.emit(f"t{slot}[{', '.join(i.text for i in indices)}]", kind)
