# SPDX-License-Identifier: Apache-2.0
"""flex_attention, with the names of torch.nn.attention.flex_attention."""

import warnings
from typing import NamedTuple

import torch
from fovea import nested
from fovea._library import ops
from fovea._trace import SCORE, WEIGHT, trace_mod
from fovea.block_mask import _sliced_mask_mod_error, as_block_mask, create_block_mask

CAUSAL = {None: 0, False: 0, "upper_left": 1, True: 1, "lower_right": 2}

# What each option of torch's kernels means here. None are needed.
KERNEL_OPTIONS = {
    "BACKEND": "chooses among fovea's backends: AUTO or the name of one",
    "BLOCK_M": "tile sizes are chosen from shapes",
    "BLOCK_N": "tile sizes are chosen from shapes",
    "BLOCK_M1": "tile sizes are chosen from shapes",
    "BLOCK_N1": "tile sizes are chosen from shapes",
    "BLOCK_M2": "tile sizes are chosen from shapes",
    "BLOCK_N2": "tile sizes are chosen from shapes",
    "num_warps": "of Triton",
    "num_stages": "of Triton",
    "kpack": "of Triton on AMD",
    "matrix_instr_nonkdim": "of Triton on AMD",
    "waves_per_eu": "of Triton on AMD",
    "PRESCALE_QK": "the scale is always folded where it costs least",
    "ROWS_GUARANTEED_SAFE": "the check of fully masked rows costs nothing here",
    "BLOCKS_ARE_CONTIGUOUS": "runs of blocks are found by themselves",
    "WRITE_DQ": "dQ is written by one item of work, always",
    "FORCE_USE_FLEX_ATTENTION": "the decode path is chosen from shapes",
    "USE_TMA": "of Triton",
    "PARTITION_SIZE": "keys are split into fixed pieces",
    "SKIP_MASK_SCORE": "masks are evaluated in partial blocks only",
    "OUTPUT_LOGSUMEXP": "lse is always computed",
    "OUTPUT_MAX": "return_aux=AuxRequest(max_scores=True) asks for it",
}
_TRITON = ("AUTO", "TRITON", "TRITON_DECODE", "FLASH", "FLYDSL")


class AuxRequest(NamedTuple):
    """What flex_attention shall return besides the output."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What was asked for; both (B, Hq, L), float32 (float64 of float64 inputs)."""

    lse: torch.Tensor | None = None
    max_scores: torch.Tensor | None = None


_warned = set()


def _warn_once(key, text, category):
    if key not in _warned:
        _warned.add(key)
        warnings.warn(text, category, stacklevel=3)


def check_kernel_options(options):
    """ValueError for a name that is neither torch's nor ours; RuntimeError for a contradiction."""
    for name, value in (options or {}).items():
        bare = name.removeprefix("fwd_").removeprefix("bwd_")
        if bare not in KERNEL_OPTIONS:
            raise ValueError(
                f"kernel_options: expected one of {', '.join(KERNEL_OPTIONS)} (each may begin "
                "with fwd_ "
                f"or bwd_), got {name}"
            )
        if bare == "BACKEND" and value not in (*_TRITON, "cpu"):
            raise ValueError(f"BACKEND: expected one of {', '.join(_TRITON)}, cpu, got {value}")
    if options and "BACKEND" in options and options.get("FORCE_USE_FLEX_ATTENTION"):
        raise RuntimeError(
            "BACKEND cannot be combined with legacy FORCE_USE_FLEX_ATTENTION: expected one, got "
            "both"
        )


def _validate(query, key, value, enable_gqa, page_table):
    devices = {x.device for x in (query, key, value)}
    if len(devices) > 1:
        raise ValueError(
            "Expected query, key, and value to have the same device type, but got query.device: "
            f"{query.device} key.device: {key.device} and value.device: {value.device} instead."
        )
    for name, x in (("query", query), ("key", key), ("value", value)):
        if x.dim() < 2:
            raise ValueError(f"Expected {name} to have at least 2 dimensions, got {x.dim()}")
    if query.size(-1) != key.size(-1):
        raise ValueError(
            "Expect query and key/value to have the same embedding dimension but got "
            f"E={query.size(-1)} and E={key.size(-1)}."
        )
    if query.device.type not in ("cpu", "cuda", "meta"):
        raise ValueError(
            "FlexAttention is only supported on CPU or CUDA devices here. Found input tensors on "
            f"{query.device.type} device."
        )
    if query.dim() != 4 or key.dim() != 4 or value.dim() != 4:
        raise NotImplementedError("NYI: query, key, and value must be 4D tensors")
    heads, kv_heads = query.size(1), key.size(1)
    if not enable_gqa and heads != kv_heads:
        raise ValueError(
            "Expect query and key/value to have the same number of heads but got "
            f"Hq={heads} and Hkv={kv_heads}. Try setting enable_gqa=True for GQA."
        )
    if heads != kv_heads and (kv_heads == 0 or heads % kv_heads != 0):
        raise ValueError(
            "Expect number of query heads to be a multiple of kv heads for GQA but got "
            f"Hq={heads} and Hkv={kv_heads}."
        )
    if page_table is None and query.size(0) != key.size(0) and key.size(0) != 1:
        raise ValueError(
            "Expect query and key/value to have the same batch size (or key/value of batch 1) "
            "but got "
            f"Bq={query.size(0)}, and Bkv={key.size(0)}."
        )


def _check_mask_lengths(query, key, block_mask):
    shape, q_len, kv_len = block_mask.seq_lengths, query.size(-2), key.size(-2)
    if (q_len, kv_len) == tuple(shape):
        return
    if q_len > shape[0] or kv_len > shape[1]:
        hint = (
            "As the block mask was created for a smaller length than you're using it for, you "
            "likely "
            "need to create a new block mask."
        )
    else:
        hint = (
            "As the block mask was created for a larger length than you're using it for, you "
            "can either "
            "1. create a new block mask with the correct length, or 2. 'adjust' the existing "
            "block mask "
            "to the correct length by calling block_mask._adjust(q_len, kv_len). This essentially "
            "'crops' the block mask to the upper left corner, which does not work for all "
            "mask_mods!"
        )
    raise ValueError(
        f"block_mask was created for block_mask.shape={block_mask.shape} but got q_len={q_len} and "
        f"kv_len={kv_len}. {hint}"
    )


def flex_attention(
    query,
    key,
    value,
    score_mod=None,
    block_mask=None,
    scale=None,
    enable_gqa=False,
    return_lse=False,
    kernel_options=None,
    *,
    return_aux=None,
    weight_mod=None,
    dropout_p=0.0,
    causal=None,
    sinks=None,
    cu_seqlens_q=None,
    cu_seqlens_kv=None,
    page_table=None,
    kv_lens=None,
):
    """softmax(score_mod(query key^T * scale)) value, fused: no score matrix is stored.

    Differentiable by query, key, value, sinks and every floating tensor that a mod captures, on
    the CPU too.

    query (B, Hq, L, E), key (B or 1, Hkv, S, E), value (B or 1, Hkv, S, Ev): float64, float32,
    bfloat16 or float16, any strides and lengths, any E and Ev; Hq a multiple of Hkv with
    enable_gqa. score_mod (score, b, h, q_idx, kv_idx) -> score; block_mask from create_block_mask
    (or torch's). scale: default 1/sqrt(E). return_aux: AuxRequest(lse, max_scores).

    Beyond torch.nn.attention.flex_attention: weight_mod (w, b, h, q_idx, kv_idx) -> weight, after
    the softmax; dropout_p of the weights; causal "upper_left" or "lower_right"; sinks (Hq), a
    learned score without a value; cu_seqlens_q and _kv (N + 1) for sequences behind each other in
    a batch of 1; page_table (B, pages) for a paged cache; kv_lens (B). Jagged NestedTensors
    (B, H, L*, E) are such sequences, and give nested results; create_nested_block_mask makes
    masks for them. Mods see positions within a sequence, and its number as b.

    Returns out (B, Hq, L, Ev), or (out, lse) or (out, AuxOutput). Fully masked rows give 0 and
    -inf. ValueError, NotImplementedError and RuntimeError as torch's function raises them.
    Dong et al., "Flex Attention", 2024.
    """
    like = None  # what results shall be jagged as
    if nested.is_jagged(query) or nested.is_jagged(key) or nested.is_jagged(value):
        if cu_seqlens_q is not None or cu_seqlens_kv is not None or page_table is not None:
            raise ValueError(
                "nested tensors: expected no cu_seqlens and no page_table beside them, as they "
                "bring their own offsets"
            )
        like = query
        nested.check_together(query, key, value)
        query, cu_seqlens_q = nested.unwrap(query, "query")
        key, cu_seqlens_kv = nested.unwrap(key, "key")
        value, _ = nested.unwrap(value, "value")
    if return_lse and return_aux is not None:
        raise ValueError(
            "Cannot specify both return_lse and return_aux. return_lse is deprecated, please use "
            "return_aux=AuxRequest(lse=True) instead."
        )
    if return_lse and not torch.compiler.is_compiling():
        _warn_once(
            "return_lse",
            "return_lse is deprecated. Please use return_aux=AuxRequest(lse=True) instead.",
            FutureWarning,
        )
    if kernel_options:
        check_kernel_options(kernel_options)
    want_max = return_aux is not None and return_aux.max_scores
    out, lse, max_scores = run_operator(
        ops.flex_attention,
        query,
        key,
        value,
        score_mod,
        block_mask,
        scale,
        want_max,
        enable_gqa=enable_gqa,
        weight_mod=weight_mod,
        dropout_p=dropout_p,
        causal=causal,
        sinks=sinks,
        cu_seqlens_q=cu_seqlens_q,
        cu_seqlens_kv=cu_seqlens_kv,
        page_table=page_table,
        kv_lens=kv_lens,
    )
    result = (out, lse) if return_lse else out
    if return_aux is not None:
        aux = AuxOutput(lse if return_aux.lse else None, max_scores if want_max else None)
        result = out, aux
    return result if like is None else _wrap_all(result, like)


def explain(
    query,
    key,
    value,
    score_mod=None,
    block_mask=None,
    scale=None,
    enable_gqa=False,
    kernel_options=None,
    *,
    weight_mod=None,
    dropout_p=0.0,
    causal=None,
    sinks=None,
    cu_seqlens_q=None,
    cu_seqlens_kv=None,
    page_table=None,
    kv_lens=None,
):
    """What flex_attention of these arguments would do, as text: shapes, the traced programs and
    what of them leaves the inner loop, blocks of the mask, the backend and why the others were
    not taken, and what becomes of each kernel option. Errors as flex_attention's."""
    check_kernel_options(kernel_options)
    text = run_operator(
        ops.explain,
        query,
        key,
        value,
        score_mod,
        block_mask,
        scale,
        enable_gqa=enable_gqa,
        weight_mod=weight_mod,
        dropout_p=dropout_p,
        causal=causal,
        sinks=sinks,
        cu_seqlens_q=cu_seqlens_q,
        cu_seqlens_kv=cu_seqlens_kv,
        page_table=page_table,
        kv_lens=kv_lens,
    )
    lines = [text.rstrip("\n")]
    for name, value_of in (kernel_options or {}).items():
        reason = KERNEL_OPTIONS[name.removeprefix("fwd_").removeprefix("bwd_")]
        lines.append(f"kernel option {name}={value_of}: {reason}")
    return "\n".join(lines)


def run_operator(
    operator,
    query,
    key,
    value,
    score_mod,
    block_mask,
    scale,
    *last,
    enable_gqa,
    weight_mod,
    causal,
    sinks,
    dropout_p=0.0,
    cu_seqlens_q=None,
    cu_seqlens_kv=None,
    page_table=None,
    kv_lens=None,
):
    """An operator with the arguments of fovea::flex_attention, checked, traced and called."""
    _validate(query, key, value, enable_gqa, page_table)
    handle = None
    if block_mask is not None:
        block_mask = as_block_mask(block_mask)
        if block_mask.mask_mod is _sliced_mask_mod_error:
            raise RuntimeError("Cannot use mask_mod from a sliced BlockMask")
        if cu_seqlens_q is None and page_table is None:
            _check_mask_lengths(query, key, block_mask)
        handle = block_mask.handle(query.device)
    score = trace_mod(score_mod, SCORE, query.device)
    weight = trace_mod(_with_dropout(weight_mod, dropout_p), WEIGHT, query.device)
    return operator(
        query,
        key,
        value,
        *score.arguments(),
        *weight.arguments(),
        handle,
        sinks,
        cu_seqlens_q,
        cu_seqlens_kv,
        page_table,
        kv_lens,
        CAUSAL[causal],
        scale,
        *last,
    )


def _wrap_all(result, like):
    """As flex_attention returned it, every tensor jagged as `like`."""
    if isinstance(result, AuxOutput):
        return AuxOutput(*(_wrap_all(x, like) for x in result))
    if isinstance(result, tuple):
        return tuple(_wrap_all(x, like) for x in result)
    return None if result is None else nested.wrap(result, like)


def create_nested_block_mask(mask_mod, B, H, q_nt, kv_nt=None, BLOCK_SIZE=128, _compile=False):
    """The block mask of jagged queries and keys (kv_nt: default q_nt), for flex_attention.

    mask_mod: (b, h, q_idx, kv_idx) -> bool, with positions within sequence b; tokens of other
    sequences are never seen. B: 1 if the mask does not read b, else the number of sequences. H as
    in create_block_mask. ValueError for another B and for what is not jagged.
    """
    kv_nt = q_nt if kv_nt is None else kv_nt
    for name, x in (("q_nt", q_nt), ("kv_nt", kv_nt)):
        if not nested.is_jagged(x):
            raise ValueError(f"{name}: expected a jagged NestedTensor, got {type(x).__name__}")
        nested.unwrap(x, name)
    if B not in (None, 1, q_nt.shape[0]):
        raise ValueError(f"B: expected 1 or the {q_nt.shape[0]} sequences of q_nt, got {B}")
    lengths = nested.longest(q_nt), nested.longest(kv_nt)
    return create_block_mask(mask_mod, B, H, *lengths, q_nt.device, BLOCK_SIZE)


def _with_dropout(weight_mod, p):
    if p == 0.0:
        return weight_mod
    from fovea._dropout import dropped

    return dropped(weight_mod, p)
