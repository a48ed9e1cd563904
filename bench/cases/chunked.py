# SPDX-License-Identifier: Apache-2.0
"""chunked_attention from 64 to 65536 tokens: time and memory, against torch and jax."""

import fovea_capi
import harness
import numpy
import peers

NAME = "chunked"
LENGTHS = tuple(2**power for power in range(6, 17))
HEAD_DIM = 64
CHUNKS = (1024, 4096)  # queries and keys: what the peers take by default
TOLERANCE = 1e-4
MIB = 2**20

# How far each peer is taken: memory that grows with the square, or patience.
LONGEST = {"torch-sdpa": 65536, "jax-chunked": 65536, "jax-sdpa": 16384, "torch-chunked": 16384}
SAMPLED_ONCE = 16384  # longer calls are timed in the run that is checked

# What is wanted at the greatest length.
RATIO_GOALS = {"torch-sdpa": 1.25, "jax-chunked": 3.5}
MIB_GOAL = 24


def contenders(context, jax, inputs, length):
    """{peer: callable that returns the output}."""
    found = {}
    if context.torch is not None:
        tensors = [context.torch.from_numpy(array) for array in inputs]
        found["torch-sdpa"] = peers.sdpa(context.torch, *tensors, False)
        if jax is not None:  # they come from one package
            found["torch-chunked"] = peers.torch_chunked(context.torch, *tensors)
    if jax is not None:
        found |= peers.jax_attention(jax, *inputs)
    return {name: run for name, run in found.items() if length <= LONGEST[name]}


def random_inputs(length):
    random = numpy.random.default_rng(1)
    return [random.standard_normal((1, 1, length, HEAD_DIM), numpy.float32) for _ in range(3)]


def warm_up(context, jax):
    """What the packages load with their first call is not memory of attention."""
    for run in contenders(context, jax, random_inputs(LENGTHS[0]), LENGTHS[0]).values():
        run()


class Contender:
    """One callable: its output, its time and its memory in the first run, which is checked."""

    def __init__(self, run, in_place=None):
        self.run = run

        def first():
            self.output = run()

        def timed():
            self.ms = harness.milliseconds(first)

        peak = harness.peak_bytes(timed)
        if in_place is not None:
            self.output = in_place
        elif peak is not None:
            peak -= numpy.asarray(self.output).nbytes
        self.peak_mib = None if peak is None else max(0, peak) / MIB


def measure(context, jax, length):
    case = f"chunked forward fp32 B1H1L{length}D{HEAD_DIM}"
    if not context.wants(case):
        return
    inputs = random_inputs(length)
    out = numpy.full_like(inputs[0], numpy.nan)
    call = fovea_capi.Call(*inputs, out, executor=context.executor, workspace=False)
    found = {"ours": Contender(lambda: call.run_chunked(*CHUNKS), in_place=out)}
    for name, run in contenders(context, jax, inputs, length).items():
        found[name] = Contender(run)
    error = check_reference(context, case, call)
    for name, contender in found.items():
        check_peer(context, case, name, out, contender.output)
    samples = sample(context, found, length)
    record(context, case, samples, found, call.workspace_bytes() / MIB, error)


def sample(context, found, length):
    def peak():
        return fovea_capi.measure_fma_peak(context.threads)

    if length > SAMPLED_ONCE:
        return {"peak": [peak()], **{name: [found[name].ms] for name in found}}
    repeats = context.repeats(9 if length <= 4096 else 3, 3 if length <= 4096 else 1)
    timed = {name: contender.run for name, contender in found.items()}
    return harness.interleave(timed, repeats, {"peak": peak}, warm=False)


def check_reference(context, case, call):
    """The error against the float64 reference in a few rows."""
    length = call.out.shape[2]
    error = 0.0
    for q in (0, length // 3, length - 1):
        row, _ = call.reference_row(0, 0, q)
        error = max(error, harness.max_error(call.out[0, 0, q].astype(numpy.float64), row))
    if not error <= TOLERANCE:
        context.fail(f"{case}: differs from the reference by {error:.2e}")
    return error


def check_peer(context, case, name, ours, theirs):
    error = harness.max_error(ours, numpy.asarray(theirs))
    if not error <= TOLERANCE:
        context.fail(f"{case}: differs from {name} by {error:.2e}")


def record(context, case, samples, found, workspace_mib, error):
    length = int(case.split("L")[1].split("D")[0])
    flops = 4.0 * HEAD_DIM * length * length
    times = samples["ours"]
    of_peak = harness.paired([1e3 * flops / t for t in times], samples["peak"])
    extra = {
        "workspace_mib": workspace_mib,
        "peak_mib": found["ours"].peak_mib,
        "gflops": 1e3 * flops / harness.median(times) / 1e9,
        "reference_error": error,
    }
    for peer in [name for name in found if name != "ours"] or [None]:
        row = context.add_against(NAME, case, peer, samples, of_peak=of_peak)
        row.extra = {**extra, "peer_peak_mib": peer and found[peer].peak_mib}


def line(row):
    last = f"L{LENGTHS[-1]}D" in row.case
    extra = row.extra
    ratio_goal = RATIO_GOALS.get(row.peer)
    return [
        row.case,
        harness.number(row.ours_ms, 3),
        harness.percent(row.of_peak),
        harness.number(extra["workspace_mib"], 2),
        harness.number(extra["peak_mib"], 2, f" (<={MIB_GOAL})" if last else ""),
        row.peer or "-",
        harness.number(row.peer_ms, 3),
        harness.number(extra["peer_peak_mib"], 2),
        harness.number(row.ratio, 2, f" (>={ratio_goal:g})" if last and ratio_goal else ""),
    ]


HEADERS = ["case", "ours ms", "of peak", "workspace", "peak", "peer", "peer ms", "peak", "ratio"]


def run(context):
    jax = peers.import_jax() if context.torch is not None else None
    if context.torch is not None and jax is None:
        context.note("jax left out: it is not installed")
    warm_up(context, jax)
    for length in LENGTHS[:7] if context.quick else LENGTHS:
        try:
            measure(context, jax, length)
        except fovea_capi.FoveaError as error:
            context.fail(f"chunked L{length}: {error}")
    rows = [row for row in context.rows if row.bench == NAME]
    title = (
        f"{NAME}: {context.threads} threads; peak MiB: resident memory beyond inputs and outputs"
    )
    harness.print_table(f"{title};\nratio = peer / ours, (wanted)", HEADERS, map(line, rows))
