# SPDX-License-Identifier: Apache-2.0
"""Dropout of attention weights, inside the kernel: by position, the same in forward and
backward."""

import torch
from fovea._operations import function

_RANGE = 2**32


def dropped(weight_mod, p):
    """The weight_mod that keeps a weight (of weight_mod, if there is one) with probability 1 - p,
    and then
    divides by 1 - p. Draws a seed from torch's generator now; calls with it drop the same weights.
    ValueError if p is no probability."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout_p: expected a probability from 0 to 1, got {p}")
    # A tensor, so that torch.compile draws anew at each run.
    seed = torch.randint(-(2**31), 2**31, (4,), dtype=torch.int32)
    threshold = int(min(p * _RANGE, _RANGE - 1)) - _RANGE // 2
    factor = 0.0 if p == 1.0 else 1.0 / (1.0 - p)

    def mod(w, b, h, q_idx, kv_idx):
        kept = w if weight_mod is None else weight_mod(w, b, h, q_idx, kv_idx)
        words = [b * 0 + i for i in range(4)]  # symbolic, so that reading stays part of the program
        key = _bits(
            _bits(_bits(seed[words[0]], seed[words[1]], seed[words[2]]), seed[words[3]], b), h, 0
        )
        return torch.where(_bits(key, q_idx, kv_idx) >= threshold, kept * factor, 0.0)

    return mod


def _bits(key, a, b):
    return function("philox", key, a, b, kind="i32")
