# SPDX-License-Identifier: Apache-2.0
"""Hugging Face's T5 encoders with random weights: as they are, compiled, patched, patched and
compiled; with and without padding, forward and training steps."""

import contextlib
import dataclasses

import fovea_package
import harness

NAME = "t5"
BATCH, LENGTH = 2, 1024
TOLERANCE = 1e-3
# d_model, d_kv, d_ff, layers, heads, feed_forward_proj
SHAPES = {
    "t5-small": (512, 64, 2048, 6, 8, "relu"),
    "v1.1-base": (768, 64, 2048, 12, 12, "gated-gelu"),
}


@dataclasses.dataclass
class Subject:
    """A model with its inputs, unpatched and patched."""

    model: object
    given: dict
    t5: object
    torch: object

    def outputs(self, model):
        return model(**self.given).last_hidden_state

    def plain(self, model):
        """`model` is self.model, compiled or not: it runs as it came."""

        def run():
            with contextlib.suppress(ValueError):  # it is unpatched already
                self.t5.unpatch(self.model)
            return self.outputs(model)

        return run

    def patched(self, model):
        def run():
            self.t5.patch(self.model)
            return self.outputs(model)

        return run

    def training(self, run):
        def step():
            with self.torch.enable_grad():
                run().square().mean().backward()
            self.model.zero_grad()

        return step


def make(context, t5, shape, padded):
    import transformers

    torch = context.torch
    d_model, d_kv, d_ff, layers, heads, feed = SHAPES[shape]
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=32128,
        d_model=d_model,
        d_kv=d_kv,
        d_ff=d_ff,
        num_layers=layers,
        num_heads=heads,
        feed_forward_proj=feed,
        dropout_rate=0.0,
    )
    given = {"input_ids": torch.randint(1, 32000, (BATCH, LENGTH))}
    if padded:
        mask = torch.ones(BATCH, LENGTH, dtype=torch.long)
        mask[1, LENGTH * 5 // 8 :] = 0
        given["attention_mask"] = mask
    return Subject(transformers.T5EncoderModel(config).eval(), given, t5, torch)


def measure(context, t5, shape, padded):
    name = f"{shape}{' padded' if padded else ''} fp32 B{BATCH}L{LENGTH}"
    wanted = [d for d in ("forward", "training") if context.wants(f"{d} {name}")]
    if not wanted:
        return
    torch = context.torch
    subject = make(context, t5, shape, padded)
    torch.compiler.reset()
    # Two compiled functions: each sees the model in one state only.
    compiled = [torch.compile(lambda **given: subject.model(**given)) for _ in range(2)]
    forward = {
        "ours": subject.patched(subject.model),
        "t5": subject.plain(subject.model),
        "t5-compiled": subject.plain(compiled[0]),
        "fovea-compiled": subject.patched(compiled[1]),
    }
    seen = subject.given.get("attention_mask", torch.ones(BATCH, LENGTH)).unsqueeze(-1)
    expected = forward["t5"]() * seen
    for contender, run in forward.items():
        error = (run() * seen - expected).abs().max().item()
        if not error <= TOLERANCE:
            context.fail(f"{name}: {contender} differs from t5 by {error:.1e}")
    for direction in wanted:
        timed = forward
        if direction == "training":
            timed = {n: subject.training(run) for n, run in forward.items() if "compiled" not in n}
        peaks = {n: harness.peak_bytes(run) for n, run in timed.items()}
        samples = harness.interleave(timed, context.repeats(5, 3))
        record(context, f"{direction} {name}", samples, peaks)


def record(context, case, samples, peaks):
    for peer in [n for n in samples if n != "ours"]:
        row = context.add_against(NAME, case, peer, samples)
        mib = {n: None if b is None else b / 2**20 for n, b in peaks.items()}
        row.extra = {
            "tokens_per_s": BATCH * LENGTH / (1e-3 * row.ours_ms),
            "peak_mib": mib["ours"],
            "peer_peak_mib": mib[peer],
        }


def line(row):
    return [
        row.case,
        harness.number(row.ours_ms, 1),
        f"{row.extra['tokens_per_s']:.0f}",
        harness.number(row.extra["peak_mib"], 0),
        row.peer,
        harness.number(row.peer_ms, 1),
        harness.number(row.extra["peer_peak_mib"], 0),
        harness.number(row.ratio, 2),
    ]


def run(context):
    if fovea_package.load(context, NAME) is None:
        return
    from fovea.integrations import t5

    for shape in ("t5-small",) if context.quick else SHAPES:
        for padded in (False, True):
            measure(context, t5, shape, padded)
    rows = [row for row in context.rows if row.bench == NAME]
    harness.print_table(
        f"{NAME}: {context.threads} threads; peak MiB: resident memory beyond the model",
        ["case", "ours ms", "tokens/s", "peak MiB", "peer", "peer ms", "peak MiB", "ratio"],
        map(line, rows),
    )
