# SPDX-License-Identifier: Apache-2.0
"""Decoding on the CPU: one query token over a long cache, grouped heads, against torch's SDPA."""

import dataclasses

import fovea_capi
import harness
import numpy

NAME = "cpu-decode"
BATCH, HEADS, KV_HEADS, LENGTH, HEAD_DIM = 1, 32, 8, 16384, 128
WINDOW = 4096
DTYPES = {"bf16": "bfloat16", "fp32": "float32"}
TOLERANCE = {"fp32": 1e-4, "bf16": 2e-2}
GOAL_RATIO, GOAL_BANDWIDTH = 20, 0.75
READS = 3
BANDWIDTH_BYTES = 256 << 20


@dataclasses.dataclass(frozen=True)
class Case:
    variant: str
    dtype: str

    def __str__(self):
        shape = f"B{BATCH}H{HEADS}/{KV_HEADS}L{LENGTH}D{HEAD_DIM}"
        return f"decode {self.variant} {self.dtype} {shape}"


CASES = [Case(name, dtype) for dtype in DTYPES for name in ("plain", "alibi", "alibi+window")]


def slopes():
    exponents = -8.0 * (numpy.arange(HEADS) + 1) / HEADS
    return numpy.exp2(exponents).astype(numpy.float32)


def keys_read(case):
    """Keys in the blocks that the mask leaves."""
    return WINDOW if case.variant.endswith("window") else LENGTH


def new_call(context, case, inputs, out):
    # One query row: its position in the sequence is the last.
    offset = LENGTH - 1
    score = mask = None
    if "alibi" in case.variant:
        score = fovea_capi.Program(f"score + t0[h] * (kv - q - {offset})", (slopes(),))
    if "window" in case.variant:
        program = fovea_capi.Program(f"q + {offset} - kv < {WINDOW}")
        mask = fovea_capi.BlockMask(program, 1, LENGTH)
    return fovea_capi.Call(
        *inputs, out, score_mod=score, block_mask=mask, executor=context.executor
    )


def bias_of(torch, case):
    """What SDPA is given instead of mods."""
    if case.variant == "plain":
        return None
    distance = torch.arange(LENGTH) - (LENGTH - 1)
    bias = torch.from_numpy(slopes()).view(-1, 1, 1) * distance
    if "window" in case.variant:
        bias = bias.masked_fill(-distance >= WINDOW, float("-inf"))
    return bias.unsqueeze(0)


def measure(context, case, read):
    torch = context.torch
    random = torch.Generator().manual_seed(1)
    dtype = getattr(torch, DTYPES[case.dtype])

    def tensor(heads, length):
        return torch.randn(BATCH, heads, length, HEAD_DIM, generator=random).to(dtype)

    inputs = [tensor(HEADS, 1), tensor(KV_HEADS, LENGTH), tensor(KV_HEADS, LENGTH)]
    out = torch.full_like(inputs[0], float("nan"))
    call = new_call(context, case, inputs, out)
    call.run()
    row, _ = call.reference_row(0, 5, 0)
    error = harness.max_error(out[0, 5, 0].double().numpy(), row)
    if not error <= TOLERANCE[case.dtype]:
        context.fail(f"{case}: differs from the reference by {error:.1e}")
    bias = bias_of(torch, case)
    bias = None if bias is None else bias.to(dtype)
    sdpa = torch.nn.functional.scaled_dot_product_attention

    def peer():
        return sdpa(*inputs, attn_mask=bias, enable_gqa=True)

    samples = harness.interleave(
        {"ours": call.run, "torch-sdpa": peer}, context.repeats(15, 5), {"read": read}
    )
    times = samples["ours"]
    size = 2 * BATCH * KV_HEADS * keys_read(case) * HEAD_DIM * inputs[1].element_size()
    of_peak = harness.paired([size / (1e-3 * t) for t in times], samples["read"])
    row = context.add_against(NAME, str(case), "torch-sdpa", samples, of_peak=of_peak)
    row.extra = {"gb_per_s": size / (1e-3 * row.ours_ms) / 1e9, "error": error}
    row.extra["read_gb_per_s"] = harness.median(samples["read"]) / 1e9


def reader(torch):
    """A gauge: bytes a second that the threads read from memory, by a plain sum."""
    data = torch.ones(BANDWIDTH_BYTES // 4)
    data.sum()

    def read():
        for _ in range(READS):
            data.sum()

    return lambda: READS * BANDWIDTH_BYTES / (1e-3 * harness.milliseconds(read))


def line(row):
    return [
        row.case,
        harness.number(row.ours_ms, 3),
        harness.number(row.extra["gb_per_s"], 1),
        harness.number(row.extra["read_gb_per_s"], 1),
        harness.percent(row.of_peak) + f" (>={100 * GOAL_BANDWIDTH:g}%)",
        row.peer,
        harness.number(row.peer_ms, 3),
        harness.number(row.ratio, 1, f" (>={GOAL_RATIO})" if " plain bf16" in row.case else ""),
        f"{row.extra['error']:.0e}",
    ]


HEADERS = ["case", "ours ms", "GB/s", "read GB/s", "of read", "peer", "peer ms", "ratio", "error"]
LEGEND = (
    "of read = bytes of the keys and values in listed blocks over what a plain sum reads; (wanted)"
)


def run(context):
    if context.torch is None:
        context.note(f"{NAME}: left out, because torch makes its inputs and is not installed")
        return
    read = reader(context.torch)
    for case in CASES[:3] if context.quick else CASES:
        if not context.wants(str(case)):
            continue
        try:
            measure(context, case, read)
        except fovea_capi.FoveaError as error:
            context.fail(f"{case}: {error}")
    rows = [row for row in context.rows if row.bench == NAME]
    harness.print_table(
        f"{NAME}: {context.threads} threads. {LEGEND}", HEADERS, [line(row) for row in rows]
    )
