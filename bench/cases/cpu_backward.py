# SPDX-License-Identifier: Apache-2.0
"""Backward on the CPU, fp32 and bf16: against torch's SDPA, and against ours without a mod."""

import dataclasses

import fovea_backward
import fovea_capi
import harness
import numpy
import peers
import variants

NAME = "cpu-backward"
BLOCK = 128
BATCH, HEADS, LENGTH = 1, 4, 4096
DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
# Relative to the largest gradient; torch rounds P and dS to bf16 as well.
TOLERANCE = {"fp32": 2e-4, "bf16": 4e-2}
# Where what is summed cancels (ALiBi's slopes, as `out` is saved in bf16) no number says what is
# good: there, times the error of autograd with the scores in memory, in the same precision.
DENSE_ERRORS = 2
NAMES = ("dense", "causal", "document12", "alibi", "softcap", "t5bias")
QUICK = ("dense", "causal")
SDPA_GOALS = {("fp32", 64): 1.3, ("fp32", 128): 1.2, ("bf16", 64): 1.5, ("bf16", 128): 1.35}
# Time a computed block, over dense.
DENSE_GOALS = {"document12": 1.25, "alibi": 1.25, "softcap": 1.25, "t5bias": 1.15}


@dataclasses.dataclass(frozen=True)
class Case:
    variant: str
    head_dim: int
    dtype: str

    def __str__(self):
        return f"backward {self.variant} {self.dtype} B{BATCH}H{HEADS}L{LENGTH}D{self.head_dim}"

    @property
    def shape(self):
        return (BATCH, HEADS, LENGTH, self.head_dim)


def cases(quick):
    names = QUICK if quick else NAMES
    return [Case(name, dim, dtype) for dtype in DTYPES for dim in (64, 128) for name in names]


class Ours:
    """One case: forward once, for out and lse, then its backward again and again."""

    def __init__(self, context, case, inputs, dout, variant):
        torch = context.torch
        self.mask = None
        if variant.mask:
            program = variants.program_of(variant.mask, LENGTH, HEADS)
            self.mask = fovea_capi.BlockMask(program, LENGTH, LENGTH, BATCH, HEADS, (BLOCK, BLOCK))
        score = variants.program_of(variant.score, LENGTH, HEADS)
        self.forward = fovea_capi.Call(
            *inputs,
            torch.empty_like(inputs[0]),
            lse=torch.empty(case.shape[:3]),
            score_mod=score,
            block_mask=self.mask,
            executor=context.executor,
        )
        self.forward.run()
        self.gradients = [torch.full_like(x, float("nan")) for x in inputs]
        # Of every floating captured tensor: T5's table, ALiBi's slopes.
        captures = score.keep if score else ()
        self.captures = [
            numpy.full(c.shape, numpy.nan, numpy.float32) if c.dtype.kind == "f" else None
            for c in captures
        ]
        self.call = fovea_backward.BackwardCall(self.forward, dout, self.gradients, self.captures)
        self.run = self.call.run

    def flops(self, case):
        """Of the blocks that the mask leaves, all five products."""
        elements = LENGTH * LENGTH
        if self.mask:
            elements = int(numpy.count_nonzero(self.mask.kinds())) * BLOCK * BLOCK
        return 10.0 * BATCH * HEADS * case.head_dim * elements


def materialised(torch, case, variant, inputs, dout, dtype):
    """Gradients of q, k, v and captured float tensors by autograd, with the scores in memory."""
    with torch.enable_grad():
        q, k, v = (x.detach().to(dtype).requires_grad_() for x in inputs)
        scores = q @ k.transpose(-2, -1) / case.head_dim**0.5
        h, i, j = (torch.arange(n) for n in (HEADS, LENGTH, LENGTH))
        index = (torch.zeros(1, dtype=torch.long).view(-1, 1, 1, 1), h.view(-1, 1, 1))
        index = (*index, i.view(-1, 1), j)
        captured = []
        if variant.score:
            arrays = variant.score.captures(LENGTH, HEADS)
            captured = [torch.from_numpy(a).to(dtype, copy=True).requires_grad_() for a in arrays]
            scores = variant.score.torch_mod(torch, *captured)(scores, *index).to(dtype)
        if variant.mask:
            mask = variants.torch_mod_of(variant.mask, torch, LENGTH, HEADS)(*index)
            scores = scores.masked_fill(~mask, float("-inf"))
        out = torch.softmax(scores, -1) @ v
        return torch.autograd.grad(out, (q, k, v, *captured), dout.to(dtype))


def error_of(ours, theirs):
    theirs = theirs.float().numpy()
    ours = ours.float().numpy() if hasattr(ours, "data_ptr") else ours
    return harness.max_error(ours, theirs) / float(numpy.abs(theirs).max())


def check(context, case, variant, ours, inputs, dout):
    ours.run()
    torch = context.torch
    expected = materialised(torch, case, variant, inputs, dout, torch.float32)
    found = [*ours.gradients, *[c for c in ours.captures if c is not None]]
    errors = [error_of(a, b) for a, b in zip(found, expected, strict=True)]
    wrong = [i for i, error in enumerate(errors) if not error <= TOLERANCE[case.dtype]]
    if wrong and inputs[0].dtype != torch.float32:
        same = materialised(torch, case, variant, inputs, dout, inputs[0].dtype)
        allowed = [DENSE_ERRORS * error_of(a, b) for a, b in zip(same, expected, strict=True)]
        wrong = [i for i in wrong if not errors[i] <= allowed[i]]
    for i in wrong:
        by = f"{errors[i]:.1e} of the largest"
        context.fail(f"{case}: gradient {i} differs from autograd's by {by}")
    return max(errors)


def sdpa_backward(torch, inputs, dout, causal):
    inputs = [x.detach().requires_grad_() for x in inputs]
    return peers.backward_of(torch, peers.sdpa(torch, *inputs, causal), inputs, dout)


def measure(context, case):
    torch = context.torch
    random = torch.Generator().manual_seed(1)
    dtype = getattr(torch, DTYPES[case.dtype])
    inputs = [torch.randn(case.shape, generator=random).to(dtype) for _ in range(3)]
    dout = torch.randn(case.shape, generator=random).to(dtype)
    variant = variants.VARIANTS[case.variant]
    ours = Ours(context, case, inputs, dout, variant)
    error = check(context, case, variant, ours, inputs, dout)
    timed = {"ours": ours.run}
    if case.variant in ("dense", "causal"):
        timed["torch-sdpa"] = sdpa_backward(torch, inputs, dout, case.variant == "causal")
    dense = None
    if case.variant != "dense":
        dense = Ours(context, case, inputs, dout, variants.VARIANTS["dense"])
        timed["dense"] = dense.run
    samples = harness.interleave(
        timed,
        context.repeats(7, 3),
        {"peak": lambda: fovea_capi.measure_fma_peak(context.threads)},
    )
    record(context, case, samples, error, ours, dense)


def record(context, case, samples, error, ours, dense):
    times, flops = samples["ours"], ours.flops(case)
    of_peak = harness.paired([flops / (1e-3 * t) for t in times], samples["peak"])
    extra = {
        "gflops": flops / (1e-3 * harness.median(times)) / 1e9,
        "error": error,
        "processors": harness.median(samples.processors["ours"]),
        "workspace_mib": ours.call.workspace.size / 2**20,
    }
    if dense:
        extra["over_dense"] = harness.paired(times, samples["dense"], dense.flops(case) / flops)
    peer = "torch-sdpa" if "torch-sdpa" in samples else None
    context.add_against(NAME, str(case), peer, samples, of_peak=of_peak, extra=extra)
    if peer:
        extra["goal"] = SDPA_GOALS[case.dtype, case.head_dim]


def line(row):
    goal = DENSE_GOALS.get(row.case.split()[1])
    over = harness.number(row.extra.get("over_dense"), 3, f" (<={goal})" if goal else "")
    ratio_goal = row.extra.get("goal")
    return [
        row.case,
        harness.number(row.ours_ms),
        f"{row.extra['gflops']:.0f}",
        harness.percent(row.of_peak),
        harness.number(row.extra["processors"]),
        over,
        row.peer or "-",
        harness.number(row.peer_ms),
        harness.number(row.ratio, 2, f" (>={ratio_goal})" if ratio_goal else ""),
        f"{row.extra['error']:.0e}",
        harness.number(row.extra["workspace_mib"], 1),
    ]


HEADERS = ["case", "ours ms", "GF/s", "of peak", "cpus", "over dense", "peer", "peer ms", "ratio"]
HEADERS += ["error", "workspace MiB"]
LEGEND = """ratio = peer / ours, median of pairs; over dense = time a computed block over ours
without mask and score_mod; gradients of q, k, v and of captured float tensors; cpus = processors
that ours had; (wanted)"""


def run(context):
    if context.torch is None:
        context.note(f"{NAME}: left out, because torch makes its inputs and is not installed")
        return
    for case in cases(context.quick):
        if not context.wants(str(case)):
            continue
        try:
            measure(context, case)
        except fovea_capi.FoveaError as error:
            context.fail(f"{case}: {error}")
    rows = [row for row in context.rows if row.bench == NAME]
    harness.print_table(
        f"{NAME}: {context.threads} threads. {LEGEND}", HEADERS, [line(row) for row in rows]
    )
