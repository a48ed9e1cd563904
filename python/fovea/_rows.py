# SPDX-License-Identifier: Apache-2.0
"""Rows of captured tensors: small vectors, whose reductions are written out."""

import torch
from fovea._values import Value, fail

MOST_TERMS = 128  # of a small reduction, which is written out

_OPERATORS = (
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow and rand or "
    "ror xor rxor lt le gt ge eq ne lshift rshift"
)


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
        return Vector(self.trace, [f(x, y) for x, y in zip(self.values, others, strict=False)])

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


for _name in _OPERATORS.split():
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
        from fovea._operations import index_tensor

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


for _name in _OPERATORS.split():
    setattr(Partial, f"__{_name}__", _of_row(f"__{_name}__"))
Partial.__neg__ = lambda self: -self.row()
Partial.__abs__ = lambda self: abs(self.row())
Partial.__invert__ = lambda self: ~self.row()
