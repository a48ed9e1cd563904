# SPDX-License-Identifier: Apache-2.0
"""Masks twice over: fovea's program text beside a mask_mod of PyTorch."""

import dataclasses
from collections.abc import Callable

import numpy

import torch

BATCH, HEADS = 2, 3
WIDTH = 16  # canvas of the 2-D masks
PREFIX = 40


@dataclasses.dataclass(frozen=True)
class Mask:
    name: str
    text: str
    make: Callable  # (*captures as torch tensors) -> mask_mod
    captures: tuple = ()
    batch: int = 1  # more than 1: the mask reads b
    heads: int = 1

    def torch_mod(self):
        return self.make(*[torch.from_numpy(array) for array in self.captures])

    def __str__(self):
        return self.name


def plain(name, text, mod, **options):
    """A mask without captured tensors."""
    return Mask(name, text, lambda: mod, **options)


def simple_masks():
    return [
        plain("noop", "true", lambda b, h, q, kv: kv >= 0),
        plain("empty", "false", lambda b, h, q, kv: kv < 0),
        plain("causal", "q >= kv", lambda b, h, q, kv: q >= kv),
        plain("causal offset", "q + 37 >= kv", lambda b, h, q, kv: q + 37 >= kv),
        plain("inverse causal", "q < kv", lambda b, h, q, kv: q < kv),
        plain(
            "sliding window",
            "q >= kv && q - kv <= 100",
            lambda b, h, q, kv: (q >= kv) & (q - kv <= 100),
        ),
        plain("two-sided window", "abs(q - kv) <= 60", lambda b, h, q, kv: (q - kv).abs() <= 60),
        plain("prefix", "kv < 200 || q >= kv", lambda b, h, q, kv: (kv < 200) | (q >= kv)),
        plain("diagonal", "q == kv", lambda b, h, q, kv: q == kv),
        plain("all but a diagonal", "q != kv + 1", lambda b, h, q, kv: q != kv + 1),
        plain("triangle", "q + kv < 300", lambda b, h, q, kv: q + kv < 300),
        plain("padded keys", "kv < 250", lambda b, h, q, kv: kv < 250),
        plain("rows", "q % 300 < 170", lambda b, h, q, kv: q % 300 < 170),
        plain(
            "dilated window",
            "abs(q - kv) <= 200 && abs(q - kv) % 4 == 0",
            lambda b, h, q, kv: ((q - kv).abs() <= 200) & ((q - kv).abs() % 4 == 0),
        ),
        plain(
            "checkerboard",
            "(q / 16 + kv / 16) % 2 == 0",
            lambda b, h, q, kv: (q // 16 + kv // 16) % 2 == 0,
        ),
        plain("odd keys", "kv % 2 == 1", lambda b, h, q, kv: kv % 2 == 1),
        plain("products", "q * kv % 7 == 3", lambda b, h, q, kv: q * kv % 7 == 3),
        plain("bits", "((q ^ kv) & 40) == 8", lambda b, h, q, kv: ((q ^ kv) & 40) == 8),
        plain("block diagonal", "q / 96 == kv / 96", lambda b, h, q, kv: q // 96 == kv // 96),
        plain(
            "batched sequences",
            "q / 96 == kv / 96 && q % 96 >= kv % 96",
            lambda b, h, q, kv: (q // 96 == kv // 96) & (q % 96 >= kv % 96),
        ),
        plain(
            "strided",
            "q >= kv && ((q - kv) % 32 == 0 || q - kv < 32)",
            lambda b, h, q, kv: (q >= kv) & (((q - kv) % 32 == 0) | (q - kv < 32)),
        ),
        plain(
            "attention sink",
            "kv < 4 || (q >= kv && q - kv < 64)",
            lambda b, h, q, kv: (kv < 4) | ((q >= kv) & (q - kv < 64)),
        ),
        plain(
            "chunked prefix",
            "kv < 100 || ((kv - 100) / 48 == (q - 100) / 48 && kv <= q)",
            lambda b, h, q, kv: (kv < 100) | (((kv - 100) // 48 == (q - 100) // 48) & (kv <= q)),
        ),
        plain(
            "not, and, or",
            "not (q < kv) && (kv % 64 < 40 || q / 64 == kv / 64) && not (q / 100 == 1)",
            lambda b, h, q, kv: (
                ~(q < kv) & ((kv % 64 < 40) | (q // 64 == kv // 64)) & ~(q // 100 == 1)
            ),
        ),
    ]


def near(q, kv, size, half):
    """Text: kv is within `half` of q, which the edges of the canvas push inwards."""
    return f"abs(clamp({q}, {half}, {size - 1 - half}) - {kv}) <= {half}"


def torch_near(q, kv, size, half):
    return (torch.clamp(q, half, size - 1 - half) - kv).abs() <= half


def morton_text(i):
    """Every second bit of i, closed up; 10 bits are enough for any length here."""
    for mask, shift in ((0x55555555, 1), (0x33333333, 2), (0x0F0F0F0F, 4)):
        i = f"(({i}) & {mask})" if shift == 1 else f"((({i}) | (({i}) >> {shift // 2})) & {mask})"
    return i


def torch_morton(i):
    i = i & 0x55555555
    i = (i | (i >> 1)) & 0x33333333
    return (i | (i >> 2)) & 0x0F0F0F0F


def image_masks():
    w = WIDTH

    def natten(b, h, q, kv):
        return torch_near(q // w, kv // w, 64, 3) & torch_near(q % w, kv % w, w, 3)

    def tile_x(i):
        return i // (4 * w) * 4 + i % (4 * w) // 4 % 4

    def tile_y(i):
        return i % (4 * w) // 16 * 4 + i % 4

    def tiled(b, h, q, kv):
        x, y = torch_near(tile_x(q), tile_x(kv), 64, 4), torch_near(tile_y(q), tile_y(kv), w, 4)
        return x & y

    def tile_x_text(i):
        return f"({i} / {4 * w} * 4 + {i} % {4 * w} / 4 % 4)"

    def tile_y_text(i):
        return f"({i} % {4 * w} / 16 * 4 + {i} % 4)"

    def morton(b, h, q, kv):
        x = torch_near(torch_morton(q >> 1), torch_morton(kv >> 1), 32, 2)
        return x & torch_near(torch_morton(q), torch_morton(kv), 32, 2)

    def stand_alone(b, h, q, kv):
        return ((q // w - kv // w).abs() <= 2) & ((q % w - kv % w).abs() <= 2)

    def sliding_tiles(b, h, q, kv):
        # Tiles of 64 in rows of 2; 3 x 1 tiles around.
        q_tile, kv_tile = q // 64, kv // 64
        return torch_near(q_tile // 2, kv_tile // 2, 8, 1) & (q_tile % 2 == kv_tile % 2)

    tiles = (near(tile_x_text("q"), tile_x_text("kv"), 64, 4),)
    tiles += (near(tile_y_text("q"), tile_y_text("kv"), w, 4),)
    curves = (near(morton_text("q >> 1"), morton_text("kv >> 1"), 32, 2),)
    curves += (near(morton_text("q"), morton_text("kv"), 32, 2),)
    return [
        plain(
            "natten",
            near(f"q / {w}", f"kv / {w}", 64, 3) + " && " + near(f"q % {w}", f"kv % {w}", w, 3),
            natten,
        ),
        plain("tiled natten", " && ".join(tiles), tiled),
        plain("morton natten", " && ".join(curves), morton),
        plain(
            "stand-alone",
            f"abs(q / {w} - kv / {w}) <= 2 && abs(q % {w} - kv % {w}) <= 2",
            stand_alone,
        ),
        plain(
            "sliding tiles",
            near("q / 64 / 2", "kv / 64 / 2", 8, 1) + " && q / 64 % 2 == kv / 64 % 2",
            sliding_tiles,
        ),
        plain(
            "video heads",
            f"kv < {PREFIX} || q < {PREFIX}"
            f" || abs((q - {PREFIX}) % 90 - (kv - {PREFIX}) % 90) < 12",
            lambda b, h, q, kv: (
                (kv < PREFIX) | (q < PREFIX) | (((q - PREFIX) % 90 - (kv - PREFIX) % 90).abs() < 12)
            ),
        ),
        plain(
            "block diffusion",
            "(q % 160 / 32 == kv % 160 / 32 && q < 160 == (kv < 160))"
            " || (q % 160 / 32 > kv % 160 / 32 && q < 160 && kv >= 160)"
            " || (q % 160 / 32 >= kv % 160 / 32 && q >= 160 && kv >= 160)",
            block_diffusion,
        ),
    ]


def block_diffusion(b, h, q, kv):
    q_block, kv_block, q_noised, kv_noised = q % 160 // 32, kv % 160 // 32, q < 160, kv < 160
    return (
        ((q_block == kv_block) & (q_noised == kv_noised))
        | ((q_block > kv_block) & q_noised & ~kv_noised)
        | ((q_block >= kv_block) & ~q_noised & ~kv_noised)
    )


def tree_ancestors(count, random):
    """ancestors[i, j]: j is i or above it. Each node's parent is one of the eight before it."""
    ancestors = numpy.eye(count, dtype=bool)
    for i in range(1, count):
        ancestors[i] |= ancestors[random.integers(max(0, i - 8), i)]
    return ancestors


def document_masks(n, random):
    starts = numpy.array([i * n // 7 for i in range(8)], numpy.int64)
    ids = (numpy.searchsorted(starts, numpy.arange(n), side="right") - 1).astype(numpy.int32)
    ids = numpy.minimum(ids, 6)
    shuffled = (numpy.arange(n) // 53 * 37 % 101).astype(numpy.int32)
    scattered = random.integers(0, 5, n).astype(numpy.int16)
    spans = numpy.where(numpy.arange(n) % 150 < 70, numpy.arange(n) // 150, -1)
    shared = numpy.array([0, 0, 0, 3, 3, 3, 3], numpy.int64)  # the document of the prefix
    return [
        Mask(
            "documents",
            "t0[q] == t0[kv]",
            lambda ids: lambda b, h, q, kv: ids[q] == ids[kv],
            (ids,),
        ),
        Mask(
            "causal documents",
            "t0[q] == t0[kv] && q >= kv",
            lambda ids: lambda b, h, q, kv: (ids[q] == ids[kv]) & (q >= kv),
            (ids,),
        ),
        Mask(
            "shuffled documents",
            "t0[q] == t0[kv]",
            lambda ids: lambda b, h, q, kv: ids[q] == ids[kv],
            (shuffled,),
        ),
        Mask(
            "scattered documents",
            "t0[q] == t0[kv]",
            lambda ids: lambda b, h, q, kv: ids[q] == ids[kv],
            (scattered,),
        ),
        Mask(
            "packed causal documents",
            "kv >= t1[t0[q]] && q >= kv",
            lambda ids, starts: lambda b, h, q, kv: (kv >= starts[ids[q]]) & (q >= kv),
            (ids, starts),
        ),
        Mask(
            "documents with an inner window",
            "t0[q] == t0[kv] && abs((q - t1[t0[q]]) - (kv - t1[t0[kv]])) < 40",
            lambda ids, starts: (
                lambda b, h, q, kv: (
                    (ids[q] == ids[kv])
                    & (((q - starts[ids[q]]) - (kv - starts[ids[kv]])).abs() < 40)
                )
            ),
            (ids, starts),
        ),
        Mask(
            "documents with shared prefixes",
            "(kv >= t1[t0[q]] && q >= kv) || (t0[q] != t2[t0[q]] && kv >= t1[t2[t0[q]]]"
            " && kv < t1[t2[t0[q]] + 1])",
            lambda ids, starts, shared: (
                lambda b, h, q, kv: (
                    ((kv >= starts[ids[q]]) & (q >= kv))
                    | (
                        (ids[q] != shared[ids[q]])
                        & (kv >= starts[shared[ids[q]]])
                        & (kv < starts[shared[ids[q]] + 1])
                    )
                )
            ),
            (ids, starts, shared),
        ),
        Mask(
            "transfusion",
            "q >= kv || (t0[q] == t0[kv] && t0[q] >= 0)",
            lambda spans: (
                lambda b, h, q, kv: (q >= kv) | ((spans[q] == spans[kv]) & (spans[q] >= 0))
            ),
            (spans,),
        ),
    ]


def table_masks(q_len, kv_len, random):
    n = max(q_len, kv_len)
    tiles = (n + 15) // 16
    images = (n + 63) // 64
    starts = numpy.sort(random.integers(0, n, images))
    intervals = numpy.stack([starts, starts + 90], axis=1).astype(numpy.int32)
    nodes = max(kv_len - PREFIX, 1)
    tree = tree_ancestors(max(q_len, nodes), random)[:q_len, :nodes].copy()
    return [
        Mask(
            "longformer",
            "abs(q - kv) <= 20 || t0[q] || t0[kv]",
            lambda some: lambda b, h, q, kv: ((q - kv).abs() <= 20) | some[q] | some[kv],
            (random.random(n) < 0.01,),
        ),
        Mask(
            "bigbird",
            "abs(q / 16 - kv / 16) <= 1 || q < 32 || kv < 32 || t0[q / 16][kv / 16]",
            lambda blocks: (
                lambda b, h, q, kv: (
                    ((q // 16 - kv // 16).abs() <= 1)
                    | (q < 32)
                    | (kv < 32)
                    | blocks[q // 16, kv // 16]
                )
            ),
            (random.random((tiles, tiles)) < 0.05,),
        ),
        Mask(
            "tree",
            f"kv < {PREFIX} || t0[q][kv - {PREFIX}]",
            lambda tree: (
                lambda b, h, q, kv: (kv < PREFIX) | tree[q, torch.clamp(kv - PREFIX, min=0)]
            ),
            (tree,),
        ),
        Mask(
            "flamingo",
            "t0[kv / 64][0] <= q && q < t0[kv / 64][1]",
            lambda spans: lambda b, h, q, kv: (spans[kv // 64, 0] <= q) & (q < spans[kv // 64, 1]),
            (intervals,),
        ),
        Mask(
            "valid keys",
            "t0[kv] && q >= kv",
            lambda valid: lambda b, h, q, kv: valid[kv] & (q >= kv),
            (random.random(n) < 0.9,),
        ),
        Mask(
            "limits",
            "kv <= t0[q]",
            lambda limits: lambda b, h, q, kv: kv <= limits[q],
            ((numpy.arange(n) * 13 % 500).astype(numpy.int32),),
        ),
        Mask(
            "float distance",
            "exp(-f32(abs(q - kv)) / 50.0) > t0[kv]",
            lambda levels: lambda b, h, q, kv: torch.exp(-(q - kv).abs() / 50.0) > levels[kv],
            (numpy.full(n, 0.2501, numpy.float32),),
        ),
    ]


def batched_masks(q_len, kv_len, random):
    n = max(q_len, kv_len)
    lengths = numpy.array([n, n // 2], numpy.int64)
    ids = (numpy.arange(BATCH * n).reshape(BATCH, n) // 77).astype(numpy.int32)
    blocks = random.random((BATCH, HEADS, (n + 63) // 64, (n + 63) // 64)) < 0.3
    sizes = random.integers(1, 65, (n + 63) // 64)
    return [
        Mask(
            "jagged",
            "q < t0[b] && kv < t0[b] && q >= kv",
            lambda lengths: lambda b, h, q, kv: (q < lengths[b]) & (kv < lengths[b]) & (q >= kv),
            (lengths,),
            batch=BATCH,
        ),
        plain(
            "head windows",
            "abs(q - kv) <= 30 * (h + 1)",
            lambda b, h, q, kv: (q - kv).abs() <= 30 * (h + 1),
            heads=HEADS,
        ),
        plain(
            "alternating heads",
            "h % 2 == 0 || q - kv < 64",
            lambda b, h, q, kv: (h % 2 == 0) | (q - kv < 64),
            heads=HEADS,
        ),
        Mask(
            "batched documents",
            "t0[b][q] == t0[b][kv] && (h != 1 || q >= kv)",
            lambda ids: lambda b, h, q, kv: (ids[b, q] == ids[b, kv]) & ((h != 1) | (q >= kv)),
            (ids,),
            batch=BATCH,
            heads=HEADS,
        ),
        Mask(
            "video tiles",
            "t0[b][h][q / 64][kv / 64] && kv % 64 < t1[kv / 64]",
            lambda blocks, sizes: (
                lambda b, h, q, kv: blocks[b, h, q // 64, kv // 64] & (kv % 64 < sizes[kv // 64])
            ),
            (blocks, sizes),
            batch=BATCH,
            heads=HEADS,
        ),
    ]


def masks_for(q_len, kv_len):
    """All of them, by name; captured tables fit the lengths."""
    random = numpy.random.default_rng(7)
    masks = [
        *simple_masks(),
        *image_masks(),
        *document_masks(max(q_len, kv_len), random),
        *table_masks(q_len, kv_len, random),
        *batched_masks(q_len, kv_len, random),
    ]
    return {mask.name: mask for mask in masks}
