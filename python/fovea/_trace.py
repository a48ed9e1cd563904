# SPDX-License-Identifier: Apache-2.0
"""From a mod to what the operators take: traces, and remembers traces."""

import functools
import inspect
import types
import weakref

from torch.overrides import TorchFunctionMode

import torch
from fovea import _functions
from fovea._operations import SYMBOLIC, convert
from fovea._values import Trace, Value, fail

SCORE = ("score", "b", "h", "q", "kv")
WEIGHT = ("w", "b", "h", "q", "kv")
MASK = ("b", "h", "q", "kv")


class Mod:
    """A traced mod, as operators take it."""

    __slots__ = ("captures", "floats", "integers", "text")

    def __init__(self, text="", captures=(), integers=(), floats=()):
        self.text = text
        self.captures = list(captures)
        self.integers = list(integers)
        self.floats = list(floats)

    def arguments(self):
        return self.text, self.captures, self.integers, self.floats


NO_MOD = Mod()


class _Mode(TorchFunctionMode):
    """Sees every torch function that a mod calls, so that indexing by values reaches us."""

    def __init__(self, trace):
        super().__init__()
        self.trace = trace

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if _is_symbolic(args) or _is_symbolic(kwargs.values()):
            return _functions.call(func, args, kwargs)
        self.trace.is_pure = False
        return func(*args, **kwargs)


def _is_symbolic(arguments):
    for x in arguments:
        if isinstance(x, SYMBOLIC):
            return True
        if isinstance(x, (tuple, list)) and _is_symbolic(x):
            return True
    return False


def run_trace(mod, inputs, device):
    trace = Trace(inputs, device)
    kinds = ["f32" if name in ("score", "w") else "i32" for name in inputs]
    symbols = [trace.input(name, kind) for name, kind in zip(inputs, kinds, strict=False)]
    with _Mode(trace):
        result = mod(*symbols)
    if inputs == MASK:
        if isinstance(result, bool):
            result = trace.number(result)
        if isinstance(result, torch.Tensor) and result.dim() == 0:
            result = convert(_lift(trace, result), torch.bool)
        if not isinstance(result, Value):
            fail(f"a mask_mod that returns {type(result).__name__}", "a bool of the indices")
        if result.kind != "bool":
            fail(f"a mask_mod that returns a number of dtype {result.dtype}", "a comparison")
    else:
        if isinstance(result, torch.Tensor) and result.dim() == 0:
            result = _lift(trace, result)
        if not isinstance(result, Value):
            fail(
                f"a {'score_mod' if inputs == SCORE else 'weight_mod'} that returns "
                f"{type(result).__name__}",
                "a scalar tensor",
            )
        result = convert(result, torch.float32)
    return trace, trace.text(result)


def _lift(trace, x):
    from fovea._operations import lift

    return lift(trace, x)


def count_parameters(mod):
    """Positional parameters without a default, as torch counts them."""
    parameters = inspect.signature(mod).parameters.values()
    return sum(
        p.default is inspect.Parameter.empty
        and p.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for p in parameters
    )


class _Remembered:
    """Traces by what a mod is made of: its code and every value that it can see."""

    most = 512

    def __init__(self):
        self.entries = {}

    def find(self, key):
        entry = self.entries.get(key)
        if entry is None:
            return None
        mod, tensors = entry
        captures = []
        for reference in tensors:
            tensor = reference()
            if tensor is None:
                del self.entries[key]
                return None
            captures.append(tensor)
        text, integers, floats = mod
        return Mod(text, captures, integers, floats)

    def insert(self, key, trace, text):
        if len(self.entries) >= self.most:
            self.entries.clear()
        tensors = [weakref.ref(t) for t in trace.captures]
        self.entries[key] = ((text, list(trace.integers), list(trace.floats)), tensors)


_remembered = _Remembered()
_PLAIN = (int, float, bool, str, bytes, type(None), torch.dtype, torch.device, type(Ellipsis))


class _Unknown(Exception):
    """A value of which it is not known when it changes."""


def _key_of(x, depth=0):
    if isinstance(x, _PLAIN):
        return (type(x), x)
    if isinstance(x, torch.Tensor):
        return ("tensor", id(x), x.dtype, tuple(x.shape))
    if depth > 8:
        raise _Unknown
    if isinstance(x, types.FunctionType):
        return _key_of_function(x, depth)
    if isinstance(x, functools.partial):
        return (
            "partial",
            _key_of(x.func, depth + 1),
            tuple(_key_of(a, depth + 1) for a in x.args),
            tuple((k, _key_of(a, depth + 1)) for k, a in sorted(x.keywords.items())),
        )
    if isinstance(x, (tuple, list)):
        return (type(x), tuple(_key_of(a, depth + 1) for a in x))
    if isinstance(x, (types.ModuleType, types.BuiltinFunctionType, type)):
        return ("fixed", id(x))
    raise _Unknown


def _key_of_function(f, depth):
    code = f.__code__
    cells = tuple(_key_of(c.cell_contents, depth + 1) for c in f.__closure__ or ())
    names = []
    for name in _names_in(code):
        if name in f.__globals__:
            names.append((name, _key_of(f.__globals__[name], depth + 1)))
    defaults = tuple(_key_of(d, depth + 1) for d in f.__defaults__ or ())
    return (code, cells, tuple(names), defaults)


def _names_in(code):
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_in(constant)


def trace_mod(mod, inputs, device):
    """A Mod of any callable. Traced again only if its code, a number, or the identity of a tensor
    that it
    captures is another than before."""
    if mod is None:
        return NO_MOD
    if torch.compiler.is_compiling():
        trace, text = run_trace(mod, inputs, device)
        return Mod(text, trace.captures, trace.integers, trace.floats)
    try:
        key = (inputs[0], _key_of(mod))
        known = _remembered.find(key)
    except (_Unknown, ValueError, TypeError):  # an empty cell, an unhashable constant
        key = known = None
    if known is not None:
        return known
    trace, text = run_trace(mod, inputs, device)
    if key is not None and trace.is_pure:
        _remembered.insert(key, trace, text)
    return Mod(text, trace.captures, trace.integers, trace.floats)
