# SPDX-License-Identifier: Apache-2.0
# Types of the public names; tests/torch/test_stubs.py holds them to what there is.
import contextlib
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, overload

import torch
from torch import Tensor

ScoreMod = Callable[[Any, Any, Any, Any, Any], Any]
MaskMod = Callable[[Any, Any, Any, Any], Any]

class TraceError(ValueError): ...

class AuxRequest(NamedTuple):
    lse: bool = False
    max_scores: bool = False

class AuxOutput(NamedTuple):
    lse: Tensor | None = None
    max_scores: Tensor | None = None

class BlockMask:
    seq_lengths: tuple[int, int]
    kv_num_blocks: Tensor
    kv_indices: Tensor
    full_kv_num_blocks: Tensor | None
    full_kv_indices: Tensor | None
    q_num_blocks: Tensor | None
    q_indices: Tensor | None
    full_q_num_blocks: Tensor | None
    full_q_indices: Tensor | None
    BLOCK_SIZE: tuple[int, int]
    mask_mod: MaskMod
    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks: Tensor,
        kv_indices: Tensor,
        full_kv_num_blocks: Tensor | None = None,
        full_kv_indices: Tensor | None = None,
        BLOCK_SIZE: int | tuple[int, int] = 128,
        mask_mod: MaskMod | None = None,
        seq_lengths: tuple[int, int] | None = None,
        compute_q_blocks: bool = True,
        **options: Any,
    ) -> BlockMask: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    def numel(self) -> int: ...
    def sparsity(self) -> float: ...
    def to_dense(self) -> Tensor: ...
    def to_string(self, grid_size: tuple[int, int] = (20, 20), limit: int = 4) -> str: ...
    def as_tuple(self, flatten: bool = True) -> tuple[Any, ...]: ...
    def to(self, device: torch.device | str) -> BlockMask: ...
    def to_torch(self) -> Any: ...
    def __getitem__(self, index: Any) -> BlockMask: ...

def noop_mask(batch: Any, head: Any, token_q: Any, token_kv: Any) -> Any: ...
def and_masks(*mask_mods: MaskMod) -> MaskMod: ...
def or_masks(*mask_mods: MaskMod) -> MaskMod: ...
def create_mask(
    mod_fn: ScoreMod | MaskMod,
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: torch.device | str | None = None,
) -> Tensor: ...
def create_block_mask(
    mask_mod: MaskMod,
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: torch.device | str | None = None,
    BLOCK_SIZE: int | tuple[int, int] = 128,
    _compile: bool = False,
    separate_full_blocks: bool = True,
    compute_dq_write_order: bool = False,
    dq_kv_order: bool = True,
) -> BlockMask: ...
def create_nested_block_mask(
    mask_mod: MaskMod,
    B: int | None,
    H: int | None,
    q_nt: Tensor,
    kv_nt: Tensor | None = None,
    BLOCK_SIZE: int | tuple[int, int] = 128,
    _compile: bool = False,
) -> BlockMask: ...
@overload
def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: ScoreMod | None = None,
    block_mask: Any = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: Mapping[str, Any] | None = None,
    *,
    return_aux: None = None,
    weight_mod: ScoreMod | None = None,
    dropout_p: float = 0.0,
    causal: bool | str | None = None,
    sinks: Tensor | None = None,
    cu_seqlens_q: Tensor | None = None,
    cu_seqlens_kv: Tensor | None = None,
    page_table: Tensor | None = None,
    kv_lens: Tensor | None = None,
) -> Any: ...
@overload
def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: ScoreMod | None = None,
    block_mask: Any = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: Mapping[str, Any] | None = None,
    *,
    return_aux: AuxRequest,
    weight_mod: ScoreMod | None = None,
    dropout_p: float = 0.0,
    causal: bool | str | None = None,
    sinks: Tensor | None = None,
    cu_seqlens_q: Tensor | None = None,
    cu_seqlens_kv: Tensor | None = None,
    page_table: Tensor | None = None,
    kv_lens: Tensor | None = None,
) -> tuple[Tensor, AuxOutput]: ...
def explain(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: ScoreMod | None = None,
    block_mask: Any = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    kernel_options: Mapping[str, Any] | None = None,
    *,
    weight_mod: ScoreMod | None = None,
    dropout_p: float = 0.0,
    causal: bool | str | None = None,
    sinks: Tensor | None = None,
    cu_seqlens_q: Tensor | None = None,
    cu_seqlens_kv: Tensor | None = None,
    page_table: Tensor | None = None,
    kv_lens: Tensor | None = None,
) -> str: ...
def decode(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: ScoreMod | None = None,
    block_mask: Any = None,
    scale: float | None = None,
    *,
    kv_lens: Tensor | None = None,
    page_table: Tensor | None = None,
    weight_mod: ScoreMod | None = None,
    sinks: Tensor | None = None,
    return_lse: bool = False,
) -> Any: ...
def merge_attention(outs: Sequence[Tensor], lses: Sequence[Tensor]) -> tuple[Tensor, Tensor]: ...

class Backend(enum.Enum):
    FUSED_CPU = ...
    FUSED_CUDA = ...
    MATH = ...
    TORCH_FLASH = ...
    TORCH_EFFICIENT = ...
    TORCH_CUDNN = ...
    TORCH_MATH = ...

class CausalBias:
    variant: str
    shape: tuple[int, int]
    def __init__(self, variant: str, q_len: int, kv_len: int) -> None: ...
    def materialize(self, device: torch.device | str | None = None) -> Tensor: ...

def causal_upper_left(q_len: int, kv_len: int) -> CausalBias: ...
def causal_lower_right(q_len: int, kv_len: int) -> CausalBias: ...
def sdpa_kernel(
    backends: Backend | Sequence[Backend],
) -> contextlib.AbstractContextManager[tuple[Backend, ...]]: ...
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | CausalBias | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor: ...
def can_use(
    backend: Backend,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | CausalBias | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> list[str]: ...
def explain_sdpa(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | CausalBias | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> str: ...

class CausalSelfAttention(torch.nn.Module):
    def __init__(
        self,
        num_heads: int,
        embed_dimension: int,
        bias: bool = False,
        is_causal: bool = False,
        dropout: float = 0.0,
    ) -> None: ...
    def forward(self, x: Tensor) -> Tensor: ...
