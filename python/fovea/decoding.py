# SPDX-License-Identifier: Apache-2.0
"""New tokens against a cache of keys and values, and attention over keys that are held in parts."""

from fovea._library import ops
from fovea.flex import run_operator


def decode(
    query,
    key,
    value,
    score_mod=None,
    block_mask=None,
    scale=None,
    *,
    kv_lens=None,
    page_table=None,
    weight_mod=None,
    sinks=None,
    return_lse=False,
):
    """Attention of the last tokens of each sequence to all keys before them and their own.

    query (B, Hq, L, E): the newest L tokens, whose keys are in the cache already. key and value
    (B, Hkv, S, E): caches, of which kv_lens (B) says how much is filled (default: all); or with
    page_table (B, pages) pages (P, Hkv, page size, E). Hq a multiple of Hkv. Token i of L sees
    the keys up to its own: causal from the lower right. Mods see i from 0 as q_idx and positions
    in the cache as kv_idx.

    Returns out (B, Hq, L, Ev), or (out, lse) with return_lse. Errors as flex_attention's.
    Dao et al., "Flash-Decoding for long-context inference", 2023.
    """
    out, lse = run_operator(
        ops.decode,
        query,
        key,
        value,
        score_mod,
        block_mask,
        scale,
        enable_gqa=True,
        weight_mod=weight_mod,
        causal="lower_right",
        sinks=sinks,
        page_table=page_table,
        kv_lens=kv_lens,
    )
    return (out, lse) if return_lse else out


def merge_attention(outs, lses):
    """Attention over all keys, from attention over disjoint sets of them.

    outs: (B, Hq, L, Ev) each, lses: (B, Hq, L) each, as flex_attention returns them for each set.
    Returns (out, lse): lse = log sum exp lse_i, out = sum exp(lse_i - lse) out_i, summed in
    float64 in the order of the parts. Differentiable. A part that has no key for a row has
    lse -inf there. ValueError for lists of different length or shape, and for empty ones.
    """
    outs, lses = list(outs), list(lses)
    if not outs or len(outs) != len(lses):  # no tensor: torch would not find the operator's device
        raise ValueError(
            "[merge_attention] parts: expected one lse for each of one or more outs, got "
            f"{len(outs)} outs and {len(lses)} lses"
        )
    return ops.merge_attention(outs, lses)
