# SPDX-License-Identifier: Apache-2.0
"""What torch functions and tensor methods mean on symbolic values: an allow-list, by name.
Everything
else is refused by name, because a write into a value would otherwise vanish without a word."""

import math

import torch
from fovea import _operations as v
from fovea._operations import lift, select, trace_of
from fovea._rows import Partial, Vector
from fovea._values import Value, fail


def _first(f):
    """A function of one operand and nothing else that matters."""
    return lambda a, *_, **__: f(a)


def _named(name, kind=None):
    return _first(lambda a: v.function(name, _float(a) if kind == "f32" else a, kind=kind))


def _float(a):
    return v.convert(a, torch.float32)


def _clamp(x, min=None, max=None):
    if min is not None:
        x = v.function("max", x, min)
    return x if max is None else v.function("min", x, max)


def _where(condition, a=None, b=None):
    if a is None or b is None:
        fail("torch.where with one argument", "torch.where(condition, a, b)")
    return select(condition, a, b)


def _full(value):
    def make(like, *args, dtype=None, **_):
        number = args[-1] if value is None else value
        result = like.trace.number(number)
        wanted = dtype if dtype is not None else (like.dtype if value is None else None)
        return v.convert(result, wanted if wanted is not None else like.dtype)

    return make


def _to(x, *args, dtype=None, **_):
    for a in args:
        if isinstance(a, torch.dtype):
            dtype = a
        elif isinstance(a, (torch.Tensor, *v.SYMBOLIC)):
            dtype = a.dtype
    return x if dtype is None else v.convert(x, dtype)


def _row(x):
    if isinstance(x, Partial):
        return x.row()
    if isinstance(x, torch.Tensor):
        fail("a reduction of a captured tensor together with values", "a row: tensor[index]")
    return x


def _sum(x, dim=None, keepdim=False, dtype=None):
    x = _row(x)
    if isinstance(x, Value):
        return x
    x = x.map(lambda y: v.convert(y, torch.int32) if y.kind == "bool" else y)
    return x.reduce(lambda a, b: a + b, 0)


def _mean(x, dim=None, keepdim=False, dtype=None):
    x = _row(x)
    return x if isinstance(x, Value) else _sum(x) / float(len(x.values))


def _any(x, dim=None, keepdim=False):
    x = _row(x)
    if isinstance(x, Value):
        return v.convert(x, torch.bool)
    return x.map(lambda y: v.convert(y, torch.bool)).reduce(lambda a, b: a | b, False)


def _all(x, dim=None, keepdim=False):
    x = _row(x)
    if isinstance(x, Value):
        return v.convert(x, torch.bool)
    return x.map(lambda y: v.convert(y, torch.bool)).reduce(lambda a, b: a & b, True)


def _extreme(name):
    def apply(x, other=None, *_, **__):
        if other is not None:
            return v.function(name, x, other)
        x = _row(x)
        return x if isinstance(x, Value) else x.reduce(lambda a, b: v.function(name, a, b), 0)

    return apply


def _dot(a, b, **_):
    trace = trace_of(a, b)
    return _sum(lift(trace, a) * lift(trace, b))


def _isin(x, values, invert=False, **_):
    trace = trace_of(x, values)
    if isinstance(values, torch.Tensor) and values.dim() == 1:
        values = Vector(trace, [v.index_tensor(trace, values, i) for i in range(len(values))])
    found = (
        lift(trace, values).map(lambda y: v.compare("==", x, y)).reduce(lambda a, b: a | b, False)
    )
    return ~found if invert else found


def _stack(values, dim=0):
    trace = trace_of(*values)
    return Vector(trace, [lift(trace, x) for x in values])


def _to_bool(x, other):
    return v.convert(lift(trace_of(x, other), x), torch.bool)


def _and(a, b):
    return v.binary("&", _to_bool(a, b), _to_bool(b, a))


def _or(a, b):
    return v.binary("|", _to_bool(a, b), _to_bool(b, a))


def _xor(a, b):
    return v.binary("^", _to_bool(a, b), _to_bool(b, a))


def _not(a):
    return v.unary("!", v.convert(a, torch.bool))


def _gelu(x, approximate="none"):
    x = _float(x)
    if approximate == "tanh":
        inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
        return x * 0.5 * (v.function("tanh", inner) + 1.0)
    return x * 0.5 * (v.function("erf", x * math.sqrt(0.5)) + 1.0)


def _softplus(x, beta=1.0, threshold=20.0):
    x = _float(x)
    scaled = x * float(beta)
    soft = v.function("log", v.function("exp", v.function("min", scaled, float(threshold))) + 1.0)
    return select(scaled > float(threshold), x, soft / float(beta))


def _lerp(a, b, weight):
    return a + (b - a) * weight


def _sub(a, b, alpha=1):
    return a - (b if alpha == 1 else b * alpha)


def _add(a, b, alpha=1):
    return v.binary("+", a, b if alpha == 1 else b * alpha)


def _div(a, b, rounding_mode=None):
    if rounding_mode == "floor":
        return v.floor_divide(a, b)
    if rounding_mode == "trunc":
        return v.function("trunc", v.divide(a, b))
    return v.divide(a, b)


def _sign(x):
    zero = 0.0 if lift(trace_of(x), x).kind == "f32" else 0
    return select(x > zero, zero + 1, select(x < zero, zero - 1, zero))


def _masked_fill(x, mask, value):
    return select(mask, value, x)


def _same(x, *_, **__):
    return x


def _leaky_relu(x, negative_slope=0.01, inplace=False):
    return select(x > 0.0, x, x * float(negative_slope))


def _embedding(input, weight, *_, **__):
    return v.index_tensor(trace_of(input), weight, input)


def _getitem(tensor, index):
    if isinstance(tensor, torch.Tensor):
        trace = trace_of(*(index if isinstance(index, (tuple, list)) else (index,)))
        return v.index_tensor(trace, tensor, tuple(index) if isinstance(index, list) else index)
    return tensor[index]


def _index_select(tensor, dim, index):
    if dim != 0:
        fail("index_select along another dimension than 0", "tensor[index]")
    return _getitem(tensor, index)


def _gather(tensor, dim, index, **_):
    if isinstance(tensor, torch.Tensor) and tensor.dim() == 1:
        return _getitem(tensor, index)
    fail("gather from a tensor of more than one dimension", "tensor[index, ...]")


def _aten_index(tensor, indices):
    return _getitem(tensor, tuple(slice(None) if i is None else i for i in indices))


# By the name of the function or method, without underscores around it.
_TABLE = {
    "getitem": _getitem,
    "index": _aten_index,
    "where": _where,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": lambda x, min: _clamp(x, min=min),
    "clamp_max": lambda x, max: _clamp(x, max=max),
    "minimum": lambda a, b: v.function("min", a, b),
    "maximum": lambda a, b: v.function("max", a, b),
    "min": _extreme("min"),
    "max": _extreme("max"),
    "amin": _extreme("min"),
    "amax": _extreme("max"),
    "fmin": lambda a, b: v.function("min", a, b),
    "fmax": lambda a, b: v.function("max", a, b),
    "add": _add,
    "radd": lambda a, b: _add(b, a),
    "sub": _sub,
    "subtract": _sub,
    "rsub": lambda a, b, alpha=1: _sub(b, a, alpha),
    "mul": lambda a, b: v.binary("*", a, b),
    "multiply": lambda a, b: v.binary("*", a, b),
    "rmul": lambda a, b: v.binary("*", b, a),
    "div": _div,
    "divide": _div,
    "true_divide": lambda a, b: v.divide(a, b),
    "truediv": lambda a, b: v.divide(a, b),
    "rtruediv": lambda a, b: v.divide(b, a),
    "rdiv": lambda a, b: v.divide(b, a),
    "floor_divide": v.floor_divide,
    "floordiv": v.floor_divide,
    "rfloordiv": lambda a, b: v.floor_divide(b, a),
    "remainder": v.remainder,
    "mod": v.remainder,
    "rmod": lambda a, b: v.remainder(b, a),
    "fmod": lambda a, b: a - v.function("trunc", v.divide(a, b)) * b,
    "pow": v.power,
    "rpow": lambda a, b: v.power(b, a),
    "square": _first(lambda x: x * x),
    "neg": _first(lambda x: v.unary("-", x)),
    "negative": _first(lambda x: v.unary("-", x)),
    "positive": _same,
    "pos": _same,
    "abs": _named("abs"),
    "absolute": _named("abs"),
    "sign": _first(_sign),
    "exp": _named("exp", "f32"),
    "exp2": _named("exp2", "f32"),
    "expm1": _first(lambda x: v.function("exp", _float(x)) - 1.0),
    "log": _named("log", "f32"),
    "log2": _named("log2", "f32"),
    "log10": _first(lambda x: v.function("log", _float(x)) * (1 / math.log(10))),
    "log1p": _first(lambda x: v.function("log", _float(x) + 1.0)),
    "sqrt": _named("sqrt", "f32"),
    "rsqrt": _named("rsqrt", "f32"),
    "reciprocal": _first(lambda x: v.divide(1.0, x)),
    "sin": _named("sin", "f32"),
    "cos": _named("cos", "f32"),
    "tan": _first(lambda x: v.function("sin", _float(x)) / v.function("cos", _float(x))),
    "tanh": _named("tanh", "f32"),
    "sigmoid": _named("sigmoid", "f32"),
    "erf": _named("erf", "f32"),
    "relu": _first(lambda x: v.function("max", x, 0.0)),
    "relu6": _first(lambda x: _clamp(x, 0.0, 6.0)),
    "leaky_relu": _leaky_relu,
    "silu": _first(lambda x: x * v.function("sigmoid", _float(x))),
    "gelu": _gelu,
    "softplus": _softplus,
    "floor": _named("floor"),
    "ceil": _named("ceil"),
    "trunc": _named("trunc"),
    "fix": _named("trunc"),
    "round": _named("round"),
    "lerp": _lerp,
    "eq": lambda a, b: v.compare("==", a, b),
    "ne": lambda a, b: v.compare("!=", a, b),
    "not_equal": lambda a, b: v.compare("!=", a, b),
    "lt": lambda a, b: v.compare("<", a, b),
    "less": lambda a, b: v.compare("<", a, b),
    "le": lambda a, b: v.compare("<=", a, b),
    "less_equal": lambda a, b: v.compare("<=", a, b),
    "gt": lambda a, b: v.compare(">", a, b),
    "greater": lambda a, b: v.compare(">", a, b),
    "ge": lambda a, b: v.compare(">=", a, b),
    "greater_equal": lambda a, b: v.compare(">=", a, b),
    "isneginf": _first(lambda x: v.compare("==", x, float("-inf"))),
    "isposinf": _first(lambda x: v.compare("==", x, float("inf"))),
    "isinf": _first(lambda x: v.compare("==", v.function("abs", x), float("inf"))),
    "isnan": _first(lambda x: v.compare("!=", x, x)),
    "logical_and": _and,
    "logical_or": _or,
    "logical_xor": _xor,
    "logical_not": _not,
    "and": lambda a, b: v.binary("&", a, b),
    "rand": lambda a, b: v.binary("&", b, a),
    "or": lambda a, b: v.binary("|", a, b),
    "ror": lambda a, b: v.binary("|", b, a),
    "xor": lambda a, b: v.binary("^", a, b),
    "rxor": lambda a, b: v.binary("^", b, a),
    "bitwise_and": lambda a, b: v.binary("&", a, b),
    "bitwise_or": lambda a, b: v.binary("|", a, b),
    "bitwise_xor": lambda a, b: v.binary("^", a, b),
    "bitwise_not": _first(lambda x: ~x),
    "invert": _first(lambda x: ~x),
    "lshift": lambda a, b: v.shift("<<", a, b),
    "rlshift": lambda a, b: v.shift("<<", b, a),
    "rshift": lambda a, b: v.shift(">>", a, b),
    "rrshift": lambda a, b: v.shift(">>", b, a),
    "bitwise_left_shift": lambda a, b: v.shift("<<", a, b),
    "bitwise_right_shift": lambda a, b: v.shift(">>", a, b),
    "to": _to,
    "type_as": lambda x, other: v.convert(x, other.dtype),
    "float": _first(_float),
    "double": _first(_float),
    "half": _first(_float),
    "bfloat16": _first(_float),
    "int": _first(lambda x: v.convert(x, torch.int32)),
    "long": _first(lambda x: v.convert(x, torch.int32)),
    "short": _first(lambda x: v.convert(x, torch.int32)),
    "bool": _first(lambda x: v.convert(x, torch.bool)),
    "zeros_like": _full(0),
    "ones_like": _full(1),
    "full_like": _full(None),
    "new_zeros": _full(0),
    "new_ones": _full(1),
    "new_full": _full(None),
    "sum": _sum,
    "mean": _mean,
    "any": _any,
    "all": _all,
    "dot": _dot,
    "inner": _dot,
    "vdot": _dot,
    "isin": _isin,
    "stack": _stack,
    "embedding": _embedding,
    "index_select": _index_select,
    "gather": _gather,
    "take": lambda tensor, index: _getitem(tensor.reshape(-1), index),
    "masked_fill": _masked_fill,
    "clone": _same,
    "contiguous": _same,
    "detach": _same,
    "view": _same,
    "reshape": _same,
    "squeeze": _same,
    "unsqueeze": _same,
    "expand": _same,
    "cpu": _same,
}

_REMEDIES = {
    "setitem": ("a write into a tensor", "torch.where(condition, new, old)"),
    "item": (".item()", "the value itself"),
    "tolist": (".tolist()", "the value itself"),
    "numpy": (".numpy()", "torch functions"),
    "nonzero": ("a result whose size depends on values", "torch.where(condition, a, b)"),
    "multinomial": ("random numbers", "fovea.dropout"),
    "bernoulli": ("random numbers", "fovea.dropout"),
    "rand_like": ("random numbers", "fovea.dropout"),
}


# Methods whose names Dynamo does not know: how a tensor on the right of a comparison answers.
_NAMES = ("gt", "ge", "lt", "le", "eq", "ne")
_COMPARISONS = [(getattr(torch.Tensor, name), name) for name in _NAMES]


def _name_of(func):
    for method_of, known in _COMPARISONS:
        if func is method_of:
            return known
    name = getattr(func, "__name__", str(func))
    return name.split(".")[0]


def call(func, args, kwargs):
    """A torch function with symbolic values among its arguments."""
    if func is torch.Tensor.__getitem__:  # by identity: Dynamo knows no name of it
        return _getitem(*args)
    name = _name_of(func)
    if name == "apply":  # of an autograd.Function: what it computes, and its derivative is derived
        return _apply(func, args)
    bare = name.strip("_")
    in_place = (name.endswith("_") and not name.endswith("__")) or (
        name.startswith("__i")
        and bare
        in ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "iand", "ior", "ixor")
    )
    if in_place:
        fail(f"the in-place operation {name}", f"{bare}, and its result")
    if bare in _REMEDIES:
        fail(*_REMEDIES[bare])
    if bare not in _TABLE:
        fail(f"torch function {name}", f"one of {', '.join(sorted(_TABLE))}")
    kwargs = {key: x for key, x in kwargs.items() if key not in ("out", "layout", "device")}
    return _TABLE[bare](*args, **kwargs)


def _apply(func, args):
    function = getattr(func, "__self__", None)
    forward = getattr(function, "forward", None)
    if forward is None:
        fail("an autograd.Function", "torch functions")
    try:
        return forward(*args)
    except TypeError:
        return forward(_NoContext(), *args)


class _NoContext:
    """Stands for ctx where a forward saves what its backward would need."""

    def save_for_backward(self, *_):
        pass

    def __setattr__(self, name, value):
        pass


def method(x, name):
    """`x.name` of a symbolic value, to be called."""
    bare = name.strip("_")
    if name.endswith("_") and not name.endswith("__"):
        fail(f"the in-place operation {name}", f"{bare}, and its result")
    if bare in _REMEDIES:
        fail(*_REMEDIES[bare])
    if name not in _TABLE:
        raise AttributeError(f"a value of a mod has no attribute '{name}'")
    f = _TABLE[name]
    return lambda *args, **kwargs: f(x, *args, **kwargs)
