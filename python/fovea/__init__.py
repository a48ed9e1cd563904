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
from fovea.decoding import decode, merge_attention
from fovea.flex import (
    AuxOutput,
    AuxRequest,
    create_nested_block_mask,
    explain,
    flex_attention,
)
from fovea.modules import CausalSelfAttention
from fovea.sdpa import (
    Backend,
    CausalBias,
    can_use,
    causal_lower_right,
    causal_upper_left,
    scaled_dot_product_attention,
    sdpa_kernel,
)
from fovea.sdpa import explain as explain_sdpa

__all__ = [
    "AuxOutput",
    "AuxRequest",
    "Backend",
    "BlockMask",
    "CausalBias",
    "CausalSelfAttention",
    "TraceError",
    "and_masks",
    "can_use",
    "causal_lower_right",
    "causal_upper_left",
    "create_block_mask",
    "create_mask",
    "create_nested_block_mask",
    "decode",
    "explain",
    "explain_sdpa",
    "flex_attention",
    "merge_attention",
    "noop_mask",
    "or_masks",
    "scaled_dot_product_attention",
    "sdpa_kernel",
]
