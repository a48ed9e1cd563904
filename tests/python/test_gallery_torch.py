# SPDX-License-Identifier: Apache-2.0
"""Each mask of the gallery: fovea's block mask against PyTorch's of its plain form."""

import ctypes

import fovea_capi
import numpy
import pytest
from test_block_mask_torch import same_lists, torch_mask

import torch

BATCH, HEADS = 2, 3
LENGTHS = ((1, 1), (127, 127), (129, 300), (300, 129), (600, 600))
BLOCK_SIZES = ((16, 16), (128, 128), (128, 64))


class Shape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("q_len", "kv_len", "batch", "heads")]


def names():
    return fovea_capi.call_text(fovea_capi.library().fovea_capi_gallery_masks).split()


def program_of(name, shape):
    program = fovea_capi.Program.__new__(fovea_capi.Program)
    fovea_capi.Handle.__init__(program)
    fovea_capi.check(
        fovea_capi.library().fovea_capi_gallery_mask(
            name.encode(), ctypes.byref(shape), ctypes.byref(program.pointer)
        )
    )
    return program


def allowed_by(name, shape):
    allowed = torch.zeros(shape.batch, shape.heads, shape.q_len, shape.kv_len, dtype=torch.bool)
    fovea_capi.check(
        fovea_capi.library().fovea_capi_gallery_allowed(
            name.encode(), ctypes.byref(shape), ctypes.c_void_p(allowed.data_ptr())
        )
    )
    return allowed


def test_names():
    assert {"causal", "natten", "tree", "top_tiles"} <= set(names())


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("name", names())
def test_lists(name, lengths):
    shape = Shape(*lengths, BATCH, HEADS)
    allowed, program = allowed_by(name, shape), program_of(name, shape)
    got = fovea_capi.create_mask(program, *lengths, BATCH, HEADS)
    numpy.testing.assert_array_equal(got, allowed.numpy())

    def mod(b, h, q_idx, kv_idx):
        return allowed[b, h, q_idx, kv_idx]

    for block_size in BLOCK_SIZES:
        ours = fovea_capi.BlockMask(program, *lengths, BATCH, HEADS, block_size)
        theirs = torch_mask(mod, *lengths, block_size, BATCH, HEADS)
        same_lists(ours.expanded(BATCH, HEADS), theirs)
