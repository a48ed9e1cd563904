# SPDX-License-Identifier: Apache-2.0
"""ctypes wrapper of the backward pass: the gradients of a fovea_capi.Call."""

import ctypes

from fovea_capi import CTensor, aligned_bytes, check, library, to_ctensor


class CBackward(ctypes.Structure):
    _fields_ = [
        *[(name, CTensor) for name in ("dout", "dquery", "dkey", "dvalue")],
        ("dcaptures", ctypes.POINTER(CTensor)),
        ("capture_count", ctypes.c_int32),
        ("workspace", ctypes.c_void_p),
        ("workspace_bytes", ctypes.c_size_t),
    ]


class BackwardCall:
    """The gradients of a Call, which has run with an lse. `gradients`: dquery, dkey, dvalue, each
    None if not wanted; `captures`: likewise by the score_mod's slots."""

    def __init__(self, call, dout, gradients, captures=()):
        self.call = call
        self.keep = [dout, *gradients, *captures]
        self.tensors = (CTensor * max(1, len(captures)))(*[to_ctensor(c) for c in captures])
        self.c = CBackward(*[to_ctensor(x) for x in (dout, *gradients)])
        self.c.dcaptures = self.tensors
        self.c.capture_count = len(captures)
        size = ctypes.c_size_t()
        check(
            library().fovea_capi_backward_workspace_bytes(
                call.reference_to_c, ctypes.byref(self.c), ctypes.byref(size)
            )
        )
        self.workspace = aligned_bytes(size.value)
        self.c.workspace = self.workspace.ctypes.data
        self.c.workspace_bytes = self.workspace.size

    def run(self):
        check(
            library().fovea_capi_flex_attention_backward(
                self.call.reference_to_c, ctypes.byref(self.c)
            )
        )
