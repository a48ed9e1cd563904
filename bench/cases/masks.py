# SPDX-License-Identifier: Apache-2.0
"""create_block_mask from 4096 to 1,048,576 tokens: time and memory, against torch's."""

import fovea_capi
import harness
import numpy
import peers
import variants

NAME = "masks"
MASKS = ("causal", "window256", "prefix1024", "document12")
LENGTHS = (4096, 8192, 32768, 262144, 1048576)
PEER = "torch-create_block_mask"
GOAL_MS, GOAL_MIB = 50.0, 64.0


def peer_limit(context):
    if context.long:
        return 32768  # takes 5 to 10 s and 11 GiB a mask
    return 4096 if context.quick else 8192


def measure(context, name, length):
    variant = variants.VARIANTS[name]
    program = variants.program_of(variant.mask, length, 1)
    mask = fovea_capi.BlockMask(program, length, length)
    kinds, info = mask.kinds(), mask.info()
    case = f"mask {name} L{length}"
    wrong = numpy.count_nonzero(kinds != variants.expected_kinds(name, length))
    if wrong:
        context.fail(f"{case}: {wrong} blocks are not of the kind that the mask's definition says")
    timed = {"ours": lambda: fovea_capi.BlockMask(program, length, length)}
    if context.torch is not None and length <= peer_limit(context):
        from torch.nn.attention import flex_attention

        mod = variants.torch_mod_of(variant.mask, context.torch, length, 1)
        timed[PEER] = lambda: flex_attention.create_block_mask(
            mod, None, None, length, length, device="cpu"
        )
        differing = numpy.count_nonzero(kinds != peers.mask_kinds(timed[PEER]()))
        if differing:
            context.fail(f"{case}: {differing} blocks differ from torch's")
    repeats = context.repeats(3 if length > 8192 and PEER in timed else 7, 3)
    record(context, case, harness.interleave(timed, repeats), info)


def record(context, case, samples, info):
    low, middle, high = harness.quartiles(samples["ours"])
    row = context.add(
        NAME,
        case,
        ours_ms=middle,
        extra={
            "mib": info.memory_bytes / 2**20,
            "ours_quartiles_ms": [low, high],
            "full": info.full,
            "partial": info.partial,
            "boxes": info.boxes,
            "leaf_evaluations": info.leaf_evaluations,
        },
    )
    if PEER in samples:
        row.peer = PEER
        row.peer_ms = harness.median(samples[PEER])
        row.ratio = harness.paired(samples[PEER], samples["ours"])


def line(row):
    last = row.case.endswith(f"L{LENGTHS[-1]}")
    extra = row.extra
    return [
        row.case,
        harness.number(row.ours_ms, 3, f" (<{GOAL_MS:g})" if last else ""),
        harness.number(extra["mib"], 3, f" (<{GOAL_MIB:g})" if last else ""),
        extra["full"],
        extra["partial"],
        extra["boxes"],
        extra["leaf_evaluations"],
        row.peer or "-",
        harness.number(row.peer_ms, 1),
        harness.number(row.ratio, 0),
    ]


HEADERS = ["case", "ours ms", "MiB", "full", "partial", "boxes", "evaluated", "peer", "peer ms"]
HEADERS += ["ratio"]


def run(context):
    for length in LENGTHS:
        for name in MASKS:
            try:
                measure(context, name, length)
            except fovea_capi.FoveaError as error:
                context.fail(f"mask {name} L{length}: {error}")
    rows = [row for row in context.rows if row.bench == NAME]
    title = f"{NAME}: create_block_mask, block 128; ratio = peer / ours, (wanted)"
    harness.print_table(title, HEADERS, [line(row) for row in rows])
