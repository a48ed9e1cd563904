# SPDX-License-Identifier: Apache-2.0
"""fovea as an attention implementation of Hugging Face's transformers (5 and later):

from fovea.integrations import transformers as fovea_transformers

fovea_transformers.register()
model = AutoModel.from_pretrained(name, attn_implementation="fovea")
"""

from typing import NamedTuple

import torch
from fovea.block_mask import BlockMask, and_masks, create_block_mask
from fovea.flex import flex_attention

NAME = "fovea"


class RelativeBias(NamedTuple):
    """A position bias by distance alone: table (Hq, distances), read at key - query + shift. In
    place of the (1, Hq, L, S) tensor that a model would make."""

    table: torch.Tensor
    shift: int


def register(name=NAME):
    """Makes attn_implementation=`name` known to transformers: encoders and decoders, padding,
    sliding windows, packed sequences, grouped-query heads, softcap, attention sinks, position
    biases, dropout and caches. Calling it again changes nothing. ImportError without
    transformers 5."""
    try:
        from transformers import AttentionInterface, AttentionMaskInterface
    except ImportError as error:
        raise ImportError("register: expected transformers 5 or later to be installed") from error
    AttentionInterface.register(name, attention)
    AttentionMaskInterface.register(name, mask)


def mask(
    batch_size,
    q_length,
    kv_length,
    q_offset=0,
    kv_offset=0,
    mask_function=None,
    attention_mask=None,
    device="cpu",
    **_,
):
    """The BlockMask of a model's mask_function, of its padding (attention_mask, (B, keys)) and of
    where queries and keys stand in the sequence. None if everybody sees everything."""
    mods = [] if mask_function is None else [mask_function]
    # A compiled graph has no branches on what a tensor holds.
    if attention_mask is not None and (
        torch.compiler.is_compiling() or not bool(attention_mask.all())
    ):
        allowed = _padded(attention_mask.to(torch.bool), kv_length + kv_offset)
        mods.append(lambda b, h, q_idx, kv_idx: allowed[b, kv_idx])
    if not mods:
        return None
    inner = mods[0] if len(mods) == 1 else and_masks(*mods)

    def shifted(b, h, q_idx, kv_idx):
        return inner(b, h, q_idx + q_offset, kv_idx + kv_offset)

    return create_block_mask(shifted, batch_size, None, q_length, kv_length, device=device)


def _padded(allowed, length):
    """Keys that a cache has room for and nobody has written yet are nobody's."""
    missing = length - allowed.size(-1)
    return allowed if missing <= 0 else torch.nn.functional.pad(allowed, (0, missing))


def attention(
    module,
    query,
    key,
    value,
    attention_mask=None,
    dropout=0.0,
    scaling=None,
    softcap=None,
    s_aux=None,
    position_bias=None,
    is_causal=None,
    **_,
):
    """query (B, Hq, L, E), key and value (B, Hkv, S, E). attention_mask: the BlockMask of `mask`,
    or a tensor (B or 1, Hq or 1, L or 1, S), bool or added to the scores. position_bias: such a
    tensor, or a RelativeBias. Returns out (B, L, Hq, E), and None in place of the weights, which
    are never stored."""
    block_mask = attention_mask if isinstance(attention_mask, BlockMask) else None
    dense = None if block_mask is not None else attention_mask
    causal = None
    if attention_mask is None and query.size(2) > 1:
        wanted = getattr(module, "is_causal", True) if is_causal is None else is_causal
        causal = "upper_left" if wanted else None
    out = flex_attention(
        query,
        key,
        value,
        _score_mod(softcap, dense, position_bias),
        block_mask,
        scaling,
        enable_gqa=True,
        dropout_p=dropout,
        causal=causal,
        sinks=s_aux,
    )
    return out.transpose(1, 2).contiguous(), None


def _score_mod(softcap, dense, bias):
    if softcap is None and dense is None and bias is None:
        return None
    read_dense = None if dense is None else _reader(dense)
    read_bias = None if bias is None else _reader(bias)

    def score_mod(score, b, h, q_idx, kv_idx):
        if softcap is not None:
            score = softcap * torch.tanh(score / softcap)
        if read_bias is not None:
            score = score + read_bias(b, h, q_idx, kv_idx)
        if read_dense is None:
            return score
        entry = read_dense(b, h, q_idx, kv_idx)
        if dense.dtype == torch.bool:
            return torch.where(entry, score, float("-inf"))
        return score + entry

    return score_mod


def _reader(tensor):
    """tensor[b, h, q, kv], where an axis of size 1 serves all; or a RelativeBias."""
    if isinstance(tensor, RelativeBias):
        table, shift = tensor
        return lambda b, h, q_idx, kv_idx: table[h, kv_idx - q_idx + shift]
    one = [size == 1 for size in tensor.shape]

    def read(*index):
        return tensor[tuple(0 if single else i for single, i in zip(one, index, strict=True))]

    return read
