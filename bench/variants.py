# SPDX-License-Identifier: Apache-2.0
"""The attention variants that benches measure: fovea's program text beside torch's mods."""

import dataclasses
import math
from collections.abc import Callable

import numpy

WINDOW = 256
PREFIX = 1024
DOCUMENTS = 12
CANVAS = 64  # the 2-D variants see 64 x 64 positions
SOFTCAP = 30.0


@dataclasses.dataclass(frozen=True)
class Mod:
    """One mod twice over. `torch_mod(torch, *captures)` gives the callable for torch."""

    text: str
    torch_mod: Callable
    captures: Callable = lambda length, heads: ()


@dataclasses.dataclass(frozen=True)
class Variant:
    name: str
    score: Mod | None = None
    mask: Mod | None = None


def document_ids(length, documents=DOCUMENTS):
    """The document of each position: uneven lengths, the same proportions at any length."""
    shares = numpy.random.default_rng(12).uniform(0.5, 1.5, documents)
    ends = numpy.round(numpy.cumsum(shares) / shares.sum() * length).astype(numpy.int64)
    return numpy.searchsorted(ends, numpy.arange(length), side="right").astype(numpy.int32)


def alibi_slopes(length, heads):
    exponents = -8.0 * (numpy.arange(heads) + 1) / heads
    return (numpy.exp2(exponents).astype(numpy.float32),)


def t5_table(length, heads):
    return (numpy.random.default_rng(5).standard_normal((32, heads)).astype(numpy.float32),)


CAUSAL = Mod("q >= kv", lambda torch: lambda b, h, q, kv: q >= kv)

WINDOWED = Mod(
    f"q >= kv && q - kv <= {WINDOW}",
    lambda torch: lambda b, h, q, kv: (q >= kv) & (q - kv <= WINDOW),
)

PREFIXED = Mod(
    f"kv < {PREFIX} || q >= kv",
    lambda torch: lambda b, h, q, kv: (kv < PREFIX) | (q >= kv),
)

DOCUMENT = Mod(
    "t0[q] == t0[kv]",
    lambda torch, ids: lambda b, h, q, kv: ids[q] == ids[kv],
    lambda length, heads: (document_ids(length),),
)


def _sasa(torch, radius=8, width=CANVAS):
    def mod(b, h, q, kv):
        rows = torch.abs(q // width - kv // width) <= radius
        return rows & (torch.abs(q % width - kv % width) <= radius)

    return mod


SASA = Mod(
    f"abs(q / {CANVAS} - kv / {CANVAS}) <= 8 && abs(q % {CANVAS} - kv % {CANVAS}) <= 8", _sasa
)


def _natten(torch, half=3, width=CANVAS):
    def mod(b, h, q, kv):
        row = torch.clamp(q // width, half, width - 1 - half)
        column = torch.clamp(q % width, half, width - 1 - half)
        return (torch.abs(row - kv // width) <= half) & (torch.abs(column - kv % width) <= half)

    return mod


NATTEN = Mod(
    f"abs(min(max(q / {CANVAS}, 3), {CANVAS - 4}) - kv / {CANVAS}) <= 3"
    f" && abs(min(max(q % {CANVAS}, 3), {CANVAS - 4}) - kv % {CANVAS}) <= 3",
    _natten,
)

ALIBI = Mod(
    "score + t0[h] * (kv - q)",
    lambda torch, slopes: lambda score, b, h, q, kv: score + slopes[h] * (kv - q),
    alibi_slopes,
)

SOFTCAPPED = Mod(
    f"{SOFTCAP} * tanh(score / {SOFTCAP})",
    lambda torch: lambda score, b, h, q, kv: SOFTCAP * torch.tanh(score / SOFTCAP),
)

# The buckets of Raffel et al., 2020 (bidirectional, 32 buckets, distance 128). The 0.01 keeps the
# buckets of distances 16, 32 and 64 apart from the rounding of any one logarithm.
_T5_SCALE = 8 / math.log(16)
_T5_LARGE = f"min(8 + i32(log((f32(abs(kv - q)) + 0.01) * 0.125) * {_T5_SCALE}), 15)"


def _t5(torch, table):
    def mod(score, b, h, q, kv):
        n = torch.abs(kv - q)
        large = 8 + (torch.log((n.to(torch.float32) + 0.01) * 0.125) * _T5_SCALE).to(torch.int32)
        large = torch.where(large < 15, large, 15)
        bucket = torch.where(n < 8, n, large) + torch.where(kv > q, 16, 0)
        return score + table[bucket, h]

    return mod


T5_BIAS = Mod(
    f"score + t0[where(abs(kv - q) < 8, abs(kv - q), {_T5_LARGE}) + where(kv > q, 16, 0)][h]",
    _t5,
    t5_table,
)


def _canvas(length):
    """The width of an image of so many pixels: a power of two, about square."""
    return 1 << (int(length).bit_length() - 1) // 2


def natten_at(length):
    """NATTEN with kernel 7 on an image of `length` pixels."""
    width, half = _canvas(length), 3
    last_x, last_y = width - 1 - half, length // width - 1 - half

    def torch_mod(torch):
        def mod(b, h, q, kv):
            row = torch.clamp(q // width, half, last_y)
            column = torch.clamp(q % width, half, last_x)
            return (torch.abs(row - kv // width) <= half) & (torch.abs(column - kv % width) <= half)

        return mod

    return Mod(
        f"abs(clamp(q / {width}, {half}, {last_y}) - kv / {width}) <= {half}"
        f" && abs(clamp(q % {width}, {half}, {last_x}) - kv % {width}) <= {half}",
        torch_mod,
    )


def sasa_at(length):
    """Stand-alone self-attention with radius 8 on an image of `length` pixels."""
    width = _canvas(length)
    return Mod(
        f"abs(q / {width} - kv / {width}) <= 8 && abs(q % {width} - kv % {width}) <= 8",
        lambda torch: _sasa(torch, 8, width),
    )


def batchify_at(length, inner=4096):
    """Causal sequences of 4096 tokens laid end to end."""
    return Mod(
        f"q / {inner} == kv / {inner} && q % {inner} >= kv % {inner}",
        lambda torch: lambda b, h, q, kv: (q // inner == kv // inner) & (q % inner >= kv % inner),
    )


def block_diffusion_at(length, block=32):
    """Noised tokens, then the same ones clean, in blocks of 32."""
    half = length // 2

    def torch_mod(torch):
        def mod(b, h, q, kv):
            rows, columns = q % half // block, kv % half // block
            q_noised, kv_noised = q < half, kv < half
            return (
                ((rows == columns) & (q_noised == kv_noised))
                | ((rows > columns) & q_noised & ~kv_noised)
                | ((rows >= columns) & ~q_noised & ~kv_noised)
            )

        return mod

    rows, columns = f"(q % {half} / {block})", f"(kv % {half} / {block})"
    return Mod(
        f"({rows} == {columns} && (q < {half}) == (kv < {half}))"
        f" || ({rows} > {columns} && q < {half} && kv >= {half})"
        f" || ({rows} >= {columns} && q >= {half} && kv >= {half})",
        torch_mod,
    )


def shuffled_ids(length, mean=512):
    """Documents of 1 to 2 * mean tokens whose ids follow no order."""
    random = numpy.random.default_rng(7)
    lengths = random.integers(1, 2 * mean, length // mean * 2 + 2)
    ids = random.permutation(len(lengths)).astype(numpy.int32)
    return numpy.repeat(ids, lengths)[:length].copy()


SHUFFLED = Mod(
    "t0[q] == t0[kv]",
    lambda torch, ids: lambda b, h, q, kv: ids[q] == ids[kv],
    lambda length, heads: (shuffled_ids(length),),
)

VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("dense"),
        Variant("causal", mask=CAUSAL),
        Variant("window256", mask=WINDOWED),
        Variant("prefix1024", mask=PREFIXED),
        Variant("document12", mask=DOCUMENT),
        Variant("sasa8", mask=SASA),
        Variant("natten7", mask=NATTEN),
        Variant("alibi+causal", score=ALIBI, mask=CAUSAL),
        Variant("softcap+causal", score=SOFTCAPPED, mask=CAUSAL),
        Variant("t5bias", score=T5_BIAS),
        Variant("alibi", score=ALIBI),
        Variant("softcap", score=SOFTCAPPED),
    )
}


def program_of(mod, length, heads):
    """The fovea Program of a Mod, or None."""
    import fovea_capi

    return fovea_capi.Program(mod.text, mod.captures(length, heads)) if mod else None


def torch_mod_of(mod, torch, length, heads):
    """The torch callable of a Mod, or None."""
    if mod is None:
        return None
    return mod.torch_mod(torch, *[torch.from_numpy(c) for c in mod.captures(length, heads)])


# What a mask makes of the blocks [q0, q1] x [kv0, kv1] (inclusive, arrays), from first principles:
# (may be attended somewhere, everywhere).


def causal_blocks(q0, q1, kv0, kv1, length):
    return q1 >= kv0, q0 >= kv1


def window_blocks(q0, q1, kv0, kv1, length):
    low, high = q0 - kv1, q1 - kv0
    return (high >= 0) & (low <= WINDOW), (low >= 0) & (high <= WINDOW)


def prefix_blocks(q0, q1, kv0, kv1, length):
    return (kv0 < PREFIX) | (q1 >= kv0), (kv1 < PREFIX) | (q0 >= kv1)


def document_blocks(q0, q1, kv0, kv1, length):
    ids = document_ids(length)
    some = (ids[q0] <= ids[kv1]) & (ids[kv0] <= ids[q1])
    every = (ids[q0] == ids[q1]) & (ids[kv0] == ids[kv1]) & (ids[q0] == ids[kv0])
    return some, every


BLOCK_RULES = {
    "causal": causal_blocks,
    "window256": window_blocks,
    "prefix1024": prefix_blocks,
    "document12": document_blocks,
}


def expected_kinds(name, length, block=128, chunk=512):
    """The block classification of a mask: 0 skipped, 1 partial, 2 full (ragged ends partial)."""
    starts = numpy.arange(0, length, block, dtype=numpy.int32)
    ends = numpy.minimum(starts + block, length) - 1
    kinds = numpy.empty((len(starts), len(starts)), numpy.uint8)
    kv0, kv1 = starts[None, :], ends[None, :]
    for first in range(0, len(starts), chunk):  # by rows, to stay small at a million tokens
        rows = slice(first, first + chunk)
        q0, q1 = starts[rows, None], ends[rows, None]
        some, every = BLOCK_RULES[name](q0, q1, kv0, kv1, length)
        whole = (q0 + block <= length) & (kv0 + block <= length)
        kinds[rows] = some.astype(numpy.uint8) + (some & every & whole)
    return kinds
