# SPDX-License-Identifier: Apache-2.0
"""create_block_mask from 4096 to 1,048,576 tokens: time and memory, against torch's."""

import os

import fovea_capi
import harness
import numpy
import peers
import variants

NAME = "masks"
LENGTHS = (4096, 8192, 32768, 262144, 1048576)
PEER = "torch-create_block_mask"
PEER_GIB = 13  # what torch takes for a mask of 32768 x 32768


def fixed(name):
    return lambda length: variants.VARIANTS[name].mask


# The mask for a length, and what is wanted of it at the greatest: milliseconds and MiB.
MASKS = {
    "causal": (fixed("causal"), 50, 64),
    "window256": (fixed("window256"), 50, 64),
    "prefix1024": (fixed("prefix1024"), 50, 64),
    "document12": (fixed("document12"), 50, 64),
    "block_diffusion32": (variants.block_diffusion_at, 50, 256),
    "batchify4096": (variants.batchify_at, 50, 256),
    "natten7": (variants.natten_at, 150, 256),
    "sasa8": (variants.sasa_at, 300, 256),
    "shuffled_documents": (lambda length: variants.SHUFFLED, 1000, 256),
}


def free_gib():
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def peer_limit(context):
    if context.quick:
        return 4096
    if context.long or free_gib() >= PEER_GIB:
        return 32768  # takes 5 to 10 s a mask
    context.note(f"torch's masks beyond 8192 left out: they take {PEER_GIB} GiB of free memory")
    return 8192


def case_name(name, length):
    return f"mask {name} L{length}"


def measure(context, name, length, limit):
    mod = MASKS[name][0](length)
    program = variants.program_of(mod, length, 1)
    mask = fovea_capi.BlockMask(program, length, length)
    kinds, info = mask.kinds(), mask.info()
    case = case_name(name, length)
    if name in variants.BLOCK_RULES:
        wrong = numpy.count_nonzero(kinds != variants.expected_kinds(name, length))
        if wrong:
            context.fail(f"{case}: {wrong} blocks are not as the mask's definition says")
    timed = {"ours": lambda: fovea_capi.BlockMask(program, length, length)}
    if context.torch is not None and length <= limit:
        from torch.nn.attention import flex_attention

        torch_mod = variants.torch_mod_of(mod, context.torch, length, 1)
        timed[PEER] = lambda: flex_attention.create_block_mask(
            torch_mod, None, None, length, length, device="cpu"
        )
        differing = numpy.count_nonzero(kinds != peers.mask_kinds(timed[PEER]()))
        if differing:
            context.fail(f"{case}: {differing} blocks differ from torch's")
    repeats = context.repeats(3 if length > 8192 and PEER in timed else 7, 3)
    record(context, case, harness.interleave(timed, repeats, warm=False), info)


def record(context, case, samples, info):
    low, _, high = harness.quartiles(samples["ours"])
    context.add_against(
        NAME,
        case,
        PEER if PEER in samples else None,
        samples,
        extra={
            "mib": info.memory_bytes / 2**20,
            "ours_quartiles_ms": [low, high],
            "full": info.full,
            "partial": info.partial,
            "boxes": info.boxes,
            "leaf_evaluations": info.leaf_evaluations,
        },
    )


def line(row):
    _, name, length = row.case.split()
    last = length == f"L{LENGTHS[-1]}"
    _, goal_ms, goal_mib = MASKS[name]
    extra = row.extra
    return [
        row.case,
        harness.number(row.ours_ms, 3, f" (<{goal_ms:g})" if last else ""),
        harness.number(extra["mib"], 3, f" (<{goal_mib:g})" if last else ""),
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
    limit = peer_limit(context)
    for length in LENGTHS:
        for name in MASKS:
            if not context.wants(case_name(name, length)):
                continue
            try:
                measure(context, name, length, limit)
            except fovea_capi.FoveaError as error:
                context.fail(f"{case_name(name, length)}: {error}")
    rows = [row for row in context.rows if row.bench == NAME]
    title = f"{NAME}: create_block_mask, block 128; ratio = peer / ours, (wanted)"
    harness.print_table(title, HEADERS, [line(row) for row in rows])
