# SPDX-License-Identifier: Apache-2.0
"""FlexAttention from Python: every variant, forward and backward, beside SDPA and our own core."""

import dataclasses

import fovea_backward
import fovea_capi
import fovea_package
import harness
import peers
import variants

NAME = "flex"
BATCH, HEADS, HEAD_DIM = 1, 4, 64
LENGTH, QUICK_LENGTH, SMALL = 4096, 1024, 64
NAMES = tuple(variants.VARIANTS)
QUICK = ("dense", "causal", "alibi", "natten7")
TOLERANCE = 2e-4
CORE_GOAL = 1.03  # ours over the same call of the C++ core
OVERHEAD_GOAL_US = 40


@dataclasses.dataclass
class Case:
    variant: variants.Variant
    length: int

    def name(self, direction):
        shape = f"B{BATCH}H{HEADS}L{self.length}D{HEAD_DIM}"
        return f"{direction} {self.variant.name} fp32 {shape}"


class Subject:
    """One variant: our call, SDPA's with the mask or bias in memory, and causal SDPA."""

    def __init__(self, context, fovea, case):
        torch = self.torch = context.torch
        random = torch.Generator().manual_seed(1)
        shape = (BATCH, HEADS, case.length, HEAD_DIM)
        self.inputs = [torch.randn(shape, generator=random).requires_grad_() for _ in range(3)]
        self.dout = torch.randn(shape, generator=random)
        variant, length = case.variant, case.length
        self.score = variants.torch_mod_of(variant.score, torch, length, HEADS)
        self.mask_mod = variants.torch_mod_of(variant.mask, torch, length, HEADS)
        self.mask = (
            fovea.create_block_mask(self.mask_mod, None, None, length, length)
            if self.mask_mod
            else None
        )
        self.fovea, self.length = fovea, length
        self.area = length * length * (1 - self.mask.sparsity() / 100 if self.mask else 1)

    def ours(self):
        return self.fovea.flex_attention(*self.inputs, self.score, self.mask)

    def dense_bias(self):
        """What SDPA is given: bool, float or None; False if the score_mod is no bias."""
        torch = self.torch
        index = [torch.arange(n) for n in (1, HEADS, self.length, self.length)]
        b, h, q, kv = (x.view([-1 if i == j else 1 for j in range(4)]) for i, x in enumerate(index))
        if self.score is None:
            return self.mask_mod(b, h, q, kv) if self.mask_mod else None
        bias = self.score(torch.zeros(1, 1, 1, 1), b, h, q, kv)
        if not torch.allclose(self.score(torch.full((1, 1, 1, 1), 40.0), b, h, q, kv), bias + 40):
            return False
        if self.mask_mod:
            bias = bias.masked_fill(~self.mask_mod(b, h, q, kv), float("-inf"))
        return bias.expand(-1, HEADS, self.length, self.length).contiguous()


def core_calls(context, subject):
    """The same forward and backward through the C++ core, of dense attention."""
    torch = context.torch
    inputs = [x.detach() for x in subject.inputs]
    rows = inputs[0].shape[:3]
    forward = fovea_capi.Call(
        *inputs, torch.empty_like(inputs[0]), lse=torch.empty(rows), executor=context.executor
    )
    forward.run()
    gradients = [torch.empty_like(x) for x in inputs]
    return forward.run, fovea_backward.BackwardCall(forward, subject.dout, gradients).run


def measure(context, fovea, case):
    wanted = [d for d in ("forward", "backward") if context.wants(case.name(d))]
    if not wanted:
        return
    subject = Subject(context, fovea, case)
    bias = subject.dense_bias()
    found = {"torch-sdpa-causal": peers.sdpa(context.torch, *subject.inputs, causal=True)}
    if bias is not False:
        found["torch-sdpa-mask"] = peers.sdpa(context.torch, *subject.inputs, mask=bias)
        error = harness.max_error(
            subject.ours().detach().numpy(), found["torch-sdpa-mask"]().detach().numpy()
        )
        if not error <= TOLERANCE:
            context.fail(f"{case.name('forward')}: differs from torch-sdpa-mask by {error:.1e}")
    core = core_calls(context, subject) if case.variant.name == "dense" else (None, None)
    for direction, core_run in zip(("forward", "backward"), core, strict=True):
        if direction not in wanted:
            continue
        timed = {"ours": subject.ours, **found}
        if direction == "backward":
            timed = {
                name: peers.backward_of(context.torch, run, subject.inputs, subject.dout)
                for name, run in timed.items()
            }
        if core_run:
            timed["fovea-core"] = core_run
        repeats = context.repeats(5, 3)
        samples = harness.interleave(
            timed, repeats, {"peak": lambda: fovea_capi.measure_fma_peak(context.threads)}
        )
        record(context, case.name(direction), direction, subject, samples)


def record(context, name, direction, subject, samples):
    times = samples["ours"]
    flops = (4.0 if direction == "forward" else 10.0) * BATCH * HEADS * HEAD_DIM * subject.area
    of_peak = harness.paired([1e3 * flops / t for t in times], samples["peak"])
    for peer in [x for x in samples if x not in ("ours", "peak")]:
        row = context.add_against(NAME, name, peer, samples, of_peak=of_peak)
        row.extra = {"tflops": flops / (1e-3 * row.ours_ms) / 1e12}


def overhead(context, fovea):
    """A tiny warm call from Python, beside the same through the core."""
    name = f"call plain fp32 B1H1L{SMALL}D{HEAD_DIM}"
    if not context.wants(name):
        return
    torch = context.torch
    inputs = [torch.randn(1, 1, SMALL, HEAD_DIM) for _ in range(3)]
    mod = variants.torch_mod_of(variants.ALIBI, torch, SMALL, 1)
    core = fovea_capi.Call(*inputs, torch.empty_like(inputs[0]), executor=context.executor)
    for label, run in (
        (name, lambda: fovea.flex_attention(*inputs)),
        (name.replace("plain", "alibi"), lambda: fovea.flex_attention(*inputs, mod)),
    ):
        samples = harness.interleave({"ours": run, "fovea-core": core.run}, context.repeats(25, 9))
        row = context.add_against(NAME, label, "fovea-core", samples)
        row.extra = {"overhead_us": 1e3 * (row.ours_ms - row.peer_ms)}


def line(row):
    over = row.extra.get("overhead_us")
    note = "" if over is None else f"{over:.0f} us (<{OVERHEAD_GOAL_US})"
    if row.peer == "fovea-core" and over is None:
        note = f"{1 / row.ratio:.3f} of the core (<={CORE_GOAL})"
    return [
        row.case,
        harness.number(row.ours_ms, 3),
        harness.number(row.extra.get("tflops"), 3),
        harness.percent(row.of_peak),
        row.peer,
        harness.number(row.peer_ms, 3),
        harness.number(row.ratio, 2),
        note,
    ]


HEADERS = ["case", "ours ms", "TFLOP/s", "of peak", "peer", "peer ms", "ratio", "front end"]


def run(context):
    fovea = fovea_package.load(context, NAME)
    if fovea is None:
        return
    for name in QUICK if context.quick else NAMES:
        # The images of the 2-D variants have 64 x 64 positions.
        length = QUICK_LENGTH if context.quick and name != "natten7" else LENGTH
        measure(context, fovea, Case(variants.VARIANTS[name], length))
    overhead(context, fovea)
    rows = [row for row in context.rows if row.bench == NAME]
    harness.print_table(
        f"{NAME}: {context.threads} threads; torch-sdpa-mask: mask or bias in memory; (wanted)",
        HEADERS,
        map(line, rows),
    )
