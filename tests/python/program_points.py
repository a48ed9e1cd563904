# SPDX-License-Identifier: Apache-2.0
"""Programs and their derivatives at single elements (tests/python/capi)."""

import ctypes

import numpy
from fovea_capi import Handle, Program, check, library


class CPoints(ctypes.Structure):
    _fields_ = [
        ("count", ctypes.c_int64),
        ("score", ctypes.c_void_p),
        ("indices", ctypes.c_void_p),
        ("dout", ctypes.c_void_p),
    ]


class Points:
    """Elements of the attention matrix, with the arrays that they lie in."""

    def __init__(self, score, indices, dout=()):
        self.score = numpy.ascontiguousarray(score, numpy.float64)
        self.indices = numpy.ascontiguousarray(indices, numpy.int64)
        self.dout = numpy.ascontiguousarray(dout, numpy.float64)
        count = len(self.score)
        assert self.indices.shape == (count, 4)
        assert len(self.dout) in (0, count)
        self.c = CPoints(count, *[a.ctypes.data for a in (self.score, self.indices, self.dout)])


def pointer_to(array):
    return ctypes.c_void_p(array.ctypes.data)


def evaluate(program, score, indices):
    """The float64 interpreter's results at n elements; indices: (n, 4), b, h, q, kv."""
    points = Points(score, indices)
    results = numpy.empty(points.c.count)
    status = library().fovea_capi_evaluate(
        program.pointer, ctypes.byref(points.c), pointer_to(results)
    )
    check(status)
    return results


def gradients(program, score, indices, dout, params=0):
    """(dscore at each element; sums over them for each capture; for each of the first parameters).

    Slots are those of the program: parameters and captures in the order in which its result reaches
    them, which must be the order of `captures`.
    """
    points = Points(score, indices, dout)
    dscore, dparams = numpy.zeros(points.c.count), numpy.zeros(max(1, params))
    dcaptures = [numpy.zeros(tuple(capture.shape)) for capture in program.keep]
    pointers = (ctypes.c_void_p * max(1, len(dcaptures)))(*[d.ctypes.data for d in dcaptures])
    status = library().fovea_capi_gradients(
        program.pointer,
        ctypes.byref(points.c),
        pointer_to(dscore),
        pointers,
        pointer_to(dparams),
        ctypes.c_int32(params),
    )
    check(status)
    return dscore, dcaptures, dparams[:params]


def derivative(program):
    """d result / d score, as a program of the same kind."""
    derived = Program.__new__(Program)
    Handle.__init__(derived, program.keep)
    check(library().fovea_capi_differentiate(program.pointer, ctypes.byref(derived.pointer)))
    return derived
