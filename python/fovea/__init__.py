# SPDX-License-Identifier: Apache-2.0
"""fovea: programmable fused attention, with the names of torch.nn.attention.flex_attention."""

from fovea import _vmap as _vmap
from fovea._values import TraceError
from fovea.block_mask import (
    BlockMask,
    and_masks,
    create_block_mask,
    create_mask,
    noop_mask,
    or_masks,
)
from fovea.flex import AuxOutput, AuxRequest, flex_attention

__all__ = [
    "AuxOutput",
    "AuxRequest",
    "BlockMask",
    "TraceError",
    "and_masks",
    "create_block_mask",
    "create_mask",
    "flex_attention",
    "noop_mask",
    "or_masks",
]
