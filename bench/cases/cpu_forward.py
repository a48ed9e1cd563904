# SPDX-License-Identifier: Apache-2.0
"""Forward on the CPU, fp32 and bf16: every variant against torch's SDPA and FlexAttention."""

import dataclasses

import fovea_capi
import harness
import numpy
import peers
import variants

NAME = "cpu-forward"
# By dtype: both sides round, outputs are of order 1.
TOLERANCE = {"fp32": 1e-4, "bf16": 2e-2}
DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
REFERENCE_ROWS = 4
BLOCK = 128


@dataclasses.dataclass(frozen=True)
class Case:
    variant: str
    batch: int
    heads: int
    length: int
    head_dim: int
    dtype: str = "fp32"

    def __str__(self):
        shape = f"B{self.batch}H{self.heads}L{self.length}D{self.head_dim}"
        return f"forward {self.variant} {self.dtype} {shape}"

    @property
    def shape(self):
        return (self.batch, self.heads, self.length, self.head_dim)


SMALL = Case("causal", 8, 8, 512, 64)
QUICK = ("dense", "causal", "window256", "alibi+causal", "t5bias")


def cases(quick):
    names = QUICK if quick else tuple(variants.VARIANTS)
    kinds = [(dtype, dim) for dtype in DTYPES for dim in (64, 128)]
    found = [Case(name, 1, 4, 4096, dim, dtype) for dtype, dim in kinds for name in names]
    return [*found, SMALL]


# What the project wants of each row; a bench reports, it does not fail on these.
PEAK_GOALS = {"dense": 0.85, "causal": 0.80}
PLAIN_GOALS = {"alibi": 1.10, "t5bias": 1.10, "softcap": 1.25}
SDPA_GOALS = {
    "fp32": {("dense", 64): 1.25, ("dense", 128): 1.18, ("causal", 64): 1.3, ("causal", 128): 1.3},
    "bf16": {("dense", 64): 2.3, ("dense", 128): 2.1, ("causal", 64): 2.2, ("causal", 128): 2.2},
}


def ratio_goal(case, peer):
    if peer is None:
        return None
    if peer == "torch-sdpa":
        return 1.8 if case == SMALL else SDPA_GOALS[case.dtype][case.variant, case.head_dim]
    if case.dtype == "bf16":
        return 3.5
    if case.variant == "t5bias":
        return 3.3 if case.head_dim == 64 else 2.8
    return 1.75 if case.head_dim == 64 else 1.5


class Inputs:
    """Query, key and value: numpy arrays, or torch tensors of what numpy does not have."""

    def __init__(self, context, case):
        random = numpy.random.default_rng(1)
        self.arrays = [random.standard_normal(case.shape, dtype=numpy.float32) for _ in range(3)]
        if case.dtype != "fp32":
            if context.torch is None:
                raise fovea_capi.FoveaError(
                    2, f"{case.dtype} tensors come from torch, which is missing"
                )
            dtype = getattr(context.torch, DTYPES[case.dtype])
            self.arrays = [context.torch.from_numpy(x).to(dtype) for x in self.arrays]

    def empty(self):
        first = self.arrays[0]
        if isinstance(first, numpy.ndarray):
            return numpy.full(first.shape, numpy.nan, numpy.float32)
        return first.new_full(first.shape, float("nan"))

    def tensors(self, torch):
        return [x if hasattr(x, "data_ptr") else torch.from_numpy(x) for x in self.arrays]


def as_floats(x):
    """A float32 numpy array of any array or tensor."""
    return x.float().numpy() if hasattr(x, "data_ptr") else x


class Ours:
    """One case as fovea runs it."""

    def __init__(self, context, case, inputs, with_score=True):
        variant = variants.VARIANTS[case.variant]
        sizes = (case.length, case.heads)
        self.mask = None
        if variant.mask:
            program = variants.program_of(variant.mask, *sizes)
            self.mask = fovea_capi.BlockMask(
                program, case.length, case.length, case.batch, case.heads, (BLOCK, BLOCK)
            )
        self.out = inputs.empty()
        self.call = fovea_capi.Call(
            *inputs.arrays,
            self.out,
            score_mod=variants.program_of(variant.score, *sizes) if with_score else None,
            block_mask=self.mask,
            executor=context.executor,
        )
        self.run = self.call.run

    def flops(self, case):
        """Of the blocks that the mask leaves, both products."""
        elements = case.length * case.length
        if self.mask:
            kinds = self.mask.kinds() != 0
            extent = numpy.minimum(BLOCK, case.length - BLOCK * numpy.arange(len(kinds)))
            elements = int(extent @ kinds @ extent)
        return 4.0 * case.batch * case.heads * case.head_dim * elements


def reference_error(ours, case):
    """Against the float64 reference, on sampled rows."""
    random = numpy.random.default_rng(7)
    worst = 0.0
    for _ in range(REFERENCE_ROWS):
        b, h, q = (int(random.integers(limit)) for limit in case.shape[:3])
        row, _ = ours.call.reference_row(b, h, q)
        worst = max(
            worst, harness.max_error(as_floats(ours.out)[b, h, q].astype(numpy.float64), row)
        )
    return worst


def torch_contenders(context, flex, case, inputs):
    """{peer: callable} and the seconds of FlexAttention's first call."""
    torch = context.torch
    if torch is None:
        return {}, None
    tensors = inputs.tensors(torch)
    variant, found, first = variants.VARIANTS[case.variant], {}, None
    if case.variant in ("dense", "causal"):
        found["torch-sdpa"] = peers.sdpa(torch, *tensors, case.variant == "causal")
    if flex is not None:
        sizes = (case.length, case.heads)
        score = variants.torch_mod_of(variant.score, torch, *sizes)
        mask = variants.torch_mod_of(variant.mask, torch, *sizes)
        try:
            found["torch-flex"], first = flex.prepare(*tensors, score, mask)
        except RuntimeError as error:  # Dynamo's and Inductor's errors: the peer leaves this case
            context.note(f"torch-flex cannot run {case}: {str(error).splitlines()[0][:120]}")
    return found, first


def check_outputs(context, case, ours, contenders):
    """The largest errors by peer; records a failure where one is too large."""
    ours.run()
    errors = {"reference": reference_error(ours, case)}
    for peer, run in contenders.items():
        errors[peer] = harness.max_error(as_floats(ours.out), as_floats(run()))
    allowed = TOLERANCE[case.dtype]
    for name, error in errors.items():
        if not error <= allowed:
            context.fail(f"{case}: differs from {name} by {error:.2e}, allowed {allowed:.0e}")
    return errors


def measure(context, flex, case):
    inputs = Inputs(context, case)
    ours = Ours(context, case, inputs)
    contenders, first_call = torch_contenders(context, flex, case, inputs)
    if first_call is not None:
        context.note(f"{case}: first call of torch-flex {first_call:.1f} s")
    errors = check_outputs(context, case, ours, contenders)
    timed = {"ours": ours.run, **contenders}
    if variants.VARIANTS[case.variant].score:
        timed["plain"] = Ours(context, case, inputs, with_score=False).run
    samples = harness.interleave(
        timed,
        context.repeats(9, 3),
        {"peak": lambda: fovea_capi.measure_fma_peak(context.threads)},
    )
    record(context, case, samples, errors, ours.flops(case), list(contenders) or [None])


def record(context, case, samples, errors, flops, names):
    times, seconds_of = samples["ours"], 1e-3
    of_peak = harness.paired([flops / (seconds_of * t) for t in times], samples["peak"])
    low, middle, high = harness.quartiles(times)
    extra = {
        "of_peak_best": flops / (seconds_of * min(times)) / max(samples["peak"]),
        "processors": harness.median(samples.processors["ours"]),
        "gflops": flops / (seconds_of * middle) / 1e9,
        "peak_gflops": harness.median(samples["peak"]) / 1e9,
        "ours_quartiles_ms": [low, high],
        "reference_error": errors["reference"],
    }
    if "plain" in samples:
        extra["over_plain"] = harness.paired(times, samples["plain"])
    for peer in names:
        row = context.add_against(
            NAME, str(case), peer, samples, of_peak=of_peak, extra=dict(extra)
        )
        row.extra["goal"] = ratio_goal(case, peer)
        if peer is not None:
            row.extra["error"] = errors[peer]


def with_goal(text, goal, sign=">="):
    """A measured figure with what is wanted of it."""
    return text if text is None or goal is None else f"{text} ({sign}{goal:g})"


def line(row):
    variant = row.case.split()[1]
    peak_goal = PEAK_GOALS.get(variant) if "L4096" in row.case else None
    plain_goal = PLAIN_GOALS.get(variant.removesuffix("+causal"))
    low, high = row.extra["ours_quartiles_ms"]
    error = row.extra.get("error", row.extra["reference_error"])
    return [
        row.case,
        harness.number(row.ours_ms),
        f"{low:.2f}..{high:.2f}",
        f"{row.extra['gflops']:.0f}",
        with_goal(harness.percent(row.of_peak), peak_goal and 100 * peak_goal),
        harness.percent(row.extra["of_peak_best"]),
        harness.number(row.extra["processors"]),
        with_goal(harness.number(row.extra.get("over_plain"), 3), plain_goal, "<="),
        row.peer or "-",
        harness.number(row.peer_ms),
        with_goal(harness.number(row.ratio), row.extra["goal"]),
        f"{error:.1e}",
    ]


HEADERS = ["case", "ours ms", "quartiles", "GF/s", "of peak", "best", "cpus", "over plain"]
HEADERS += ["peer", "peer ms", "ratio", "error"]

LEGEND = """ratio = peer / ours, median of pairs; best = fastest run over highest peak;
cpus = processors that ours really had (fewer than the threads: others used them);
over plain = ours / ours without the score_mod; (wanted)"""


def run(context):
    obstacle = peers.flex_obstacle(context.torch)
    if obstacle:
        context.note(f"torch-flex left out: {obstacle}")
    else:
        context.note("the first call of torch-flex compiles: it can take 20 s")
    flex = None if obstacle else peers.Flex(context.torch)
    for case in filter(context.wants, cases(context.quick)):
        if case.dtype != "fp32" and context.torch is None:
            continue  # torch makes its tensors
        try:
            measure(context, flex, case)
        except fovea_capi.FoveaError as error:
            context.fail(f"{case}: {error}")
    rows = [row for row in context.rows if row.bench == NAME]
    title = f"{NAME}: {context.threads} threads. {LEGEND}"
    harness.print_table(title, HEADERS, [line(row) for row in rows])
