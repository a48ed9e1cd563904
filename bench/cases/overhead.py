# SPDX-License-Identifier: Apache-2.0
"""What a call costs besides its arithmetic: the first of a new program, and a tiny warm one."""

import time

import fovea_capi
import harness
import numpy
import peers
import variants

NAME = "overhead"
LENGTH, HEAD_DIM, HEADS = 64, 64, 1
SHAPE = (1, HEADS, LENGTH, HEAD_DIM)
TOLERANCE = 1e-4
FIRST_CALL = "first call of a new program"
GOALS = {FIRST_CALL: 5.0, "warm call plain": 0.015}


def new_call(context, inputs, score_mod=None, block_mask=None):
    out = numpy.full(SHAPE, numpy.nan, numpy.float32)
    return fovea_capi.Call(
        *inputs, out, score_mod=score_mod, block_mask=block_mask, executor=context.executor
    )


def add(context, case, samples, peer=None, peer_samples=None, **extra):
    low, middle, high = harness.quartiles(samples)
    row = context.add(NAME, case, peer, middle, extra={"ours_quartiles_ms": [low, high], **extra})
    if peer_samples:
        row.peer_ms = harness.median(peer_samples)
        row.ratio = harness.paired(peer_samples, samples)


def first_calls(context, inputs):
    """Trace, then the first call: each turn has a structure that nothing has seen."""
    table = variants.t5_table(LENGTH, HEADS)[0]
    slopes = variants.alibi_slopes(LENGTH, HEADS)[0]
    kept, times = [], {"trace": [], "call": [], "both": []}
    salt = time.time_ns() % 1_000_000_007  # no run meets another's structures
    for turn in range(context.repeats(21, 7)):
        out = numpy.full(SHAPE, numpy.nan, numpy.float32)
        start = time.perf_counter_ns()
        program = fovea_capi.Program.trace_example(salt + turn, table, slopes)
        traced = time.perf_counter_ns()
        call = fovea_capi.Call(
            *inputs, out, score_mod=program, executor=context.executor, workspace=False
        )
        call.run()
        done = time.perf_counter_ns()
        kept.append(call)
        for name, span in (
            ("trace", traced - start),
            ("call", done - traced),
            ("both", done - start),
        ):
            times[name].append(span / 1e6)
    check_reference(context, FIRST_CALL, kept[-1])
    add(context, "trace of a 30-node lambda", times["trace"])
    add(context, "first flex_attention of it", times["call"])
    return times["both"]


def check_reference(context, case, call):
    for q in (0, LENGTH // 2, LENGTH - 1):
        row, _ = call.reference_row(0, 0, q)
        error = harness.max_error(call.out[0, 0, q].astype(numpy.float64), row)
        if not error <= TOLERANCE:
            context.fail(f"{case}: row {q} differs from the reference by {error:.2e}")


def flex_first_call(context, inputs):
    """Milliseconds of compiled FlexAttention's first call on the T5 variant (caches off)."""
    torch = context.torch
    tensors = [torch.from_numpy(array) for array in inputs]
    score = variants.torch_mod_of(variants.T5_BIAS, torch, LENGTH, HEADS)
    flex = peers.Flex(torch)
    with torch._inductor.config.patch(force_disable_caches=True):
        _, seconds = flex.prepare(*tensors, score)
    return seconds * 1e3


def warm_calls(context, inputs):
    """Tiny calls, timed from C in batches; SDPA both from Python and from a compiled loop."""
    sizes = (LENGTH, HEADS)
    causal = fovea_capi.BlockMask(variants.program_of(variants.CAUSAL, *sizes), LENGTH, LENGTH)
    alibi = variants.program_of(variants.ALIBI, *sizes)
    calls = {
        "warm call plain": new_call(context, inputs),
        "warm call causal": new_call(context, inputs, None, causal),
        "warm call alibi+causal": new_call(context, inputs, alibi, causal),
    }
    calls = {case: call for case, call in calls.items() if context.wants(case)}
    for case, call in calls.items():
        call.run()
        check_reference(context, case, call)
    batch = 200
    gauges = {case: lambda call=call: call.repeat(batch) / 1e6 for case, call in calls.items()}
    if plain := calls.get("warm call plain"):
        gauges |= sdpa_gauges(context, inputs, plain, batch)
    samples = harness.interleave({}, context.repeats(25, 7), gauges)
    for case in calls:
        names = [name for name in samples if name.startswith("torch-sdpa")]
        for peer in names if case == "warm call plain" else [None]:
            add(context, f"{case} fp32 B1H1L64D64", samples[case], peer, samples.get(peer))


def sdpa_gauges(context, inputs, plain, batch):
    torch = context.torch
    if torch is None:
        return {}
    tensors = [torch.from_numpy(array) for array in inputs]
    run = peers.sdpa(torch, *tensors, False)
    error = harness.max_error(plain.out, run().numpy())
    if not error <= TOLERANCE:
        context.fail(f"warm call plain: differs from torch-sdpa by {error:.2e}")

    def from_python():
        return harness.milliseconds(lambda: [run() for _ in range(batch)]) / batch

    compiled = peers.sdpa_loop(torch)

    def from_loop():
        return harness.milliseconds(lambda: compiled(*tensors, batch)) / batch

    from_loop()
    return {"torch-sdpa": from_python, "torch-sdpa-loop": from_loop}


def first_call_rows(context, inputs):
    both = first_calls(context, inputs)
    obstacle = None if context.long else "only with --long"
    obstacle = obstacle or peers.flex_obstacle(context.torch)
    if obstacle:
        context.note(f"first call of torch-flex left out: {obstacle}")
        add(context, FIRST_CALL, both)
    else:
        add(context, FIRST_CALL, both, "torch-flex", [flex_first_call(context, inputs)] * len(both))


def run(context):
    random = numpy.random.default_rng(1)
    inputs = [random.standard_normal(SHAPE, dtype=numpy.float32) for _ in range(3)]
    try:
        if context.wants(FIRST_CALL):
            first_call_rows(context, inputs)
        warm_calls(context, inputs)
    except fovea_capi.FoveaError as error:
        context.fail(f"{NAME}: {error}")
    rows = [row for row in context.rows if row.bench == NAME]
    title = f"{NAME}: {context.threads} threads; microseconds; ratio = peer / ours, (wanted)"
    harness.print_table(title, HEADERS_TEXT, [line(row) for row in rows])


HEADERS_TEXT = ["case", "ours us", "quartiles", "peer", "peer us", "ratio"]


def line(row):
    goal = next((g for name, g in GOALS.items() if row.case.startswith(name)), None)
    low, high = row.extra["ours_quartiles_ms"]
    return [
        row.case,
        harness.number(1e3 * row.ours_ms, 2, f" (<{1e3 * goal:g})" if goal else ""),
        f"{1e3 * low:.2f}..{1e3 * high:.2f}",
        row.peer or "-",
        harness.number(row.peer_ms and 1e3 * row.peer_ms, 2),
        harness.number(row.ratio),
    ]
