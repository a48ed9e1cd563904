#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains a small language model of bytes on the CPU, about a minute, through fovea.

Four layers with T5's relative position bias (a learned table, read by a score_mod) on packed
documents (a mask_mod): Python's own standard library, which every machine with Python has. Writes
the loss curve as a PNG, prints tokens a second and a sample, and fails if the loss stays high or
differs from the same model with its scores in memory. `./run demo` runs it.
"""

import argparse
import copy
import sys
import sysconfig
import time
from pathlib import Path

import fovea

import torch
from torch import nn

LENGTH, ROWS = 1024, 4  # bytes of a row, rows of a step
HEADS, WIDTH, LAYERS = 4, 128, 4
BUCKETS, MAX_DISTANCE = 32, 128
LEARNING_RATE, WARM_UP = 3e-3, 20
# Of bytes in nats. Always the same distribution of bytes gives 3.2, five steps of training 3.5.
LOSS_BOUND = 2.8
COMPARED_STEPS, COMPARED_TOLERANCE = 5, 2e-3
NEWLINE = 10


def bucket_of(distance):
    """T5's bucket of key - query for a model that looks back (Raffel et al., 2020): a bucket each
    for near positions, logarithmic ones up to MAX_DISTANCE."""
    back = max(-distance, 0)
    exact = BUCKETS // 2
    if back < exact:
        return back
    ratio = torch.tensor(back / exact).log() / torch.tensor(MAX_DISTANCE / exact).log()
    return min(exact + int(ratio * (BUCKETS - exact)), BUCKETS - 1)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.merge = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x, attend):
        parts = self.project(x).unflatten(-1, (3, HEADS, WIDTH // HEADS)).permute(2, 0, 3, 1, 4)
        return self.merge(attend(*parts).transpose(1, 2).flatten(-2))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.before, self.between = (
            Attention(),
            nn.LayerNorm(WIDTH),
            nn.LayerNorm(WIDTH),
        )
        self.feed = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x, attend):
        x = x + self.attention(self.before(x), attend)
        return x + self.feed(self.between(x))


class Model(nn.Module):
    """Bytes in, logits of the next byte out. One bias table for all layers, as in T5."""

    def __init__(self, dense=False):
        super().__init__()
        self.embed = nn.Embedding(256, WIDTH)
        nn.init.normal_(self.embed.weight, std=WIDTH**-0.5)  # it gives the logits as well
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.bias = nn.Parameter(torch.zeros(BUCKETS, HEADS))
        self.last = nn.LayerNorm(WIDTH)
        self.register_buffer("buckets", torch.tensor([bucket_of(-d) for d in range(LENGTH)]))
        self.dense = dense

    def attend(self, documents):
        """The attention of one step's rows: its mask is built once for all layers."""
        length = documents.shape[1]
        buckets, bias = self.buckets, self.bias

        def relative(score, b, h, q_idx, kv_idx):
            return score + bias[buckets[torch.clamp(q_idx - kv_idx, min=0)], h]

        def mask_mod(b, h, q_idx, kv_idx):
            return (documents[b, q_idx] == documents[b, kv_idx]) & (q_idx >= kv_idx)

        if not self.dense:
            mask = fovea.create_block_mask(mask_mod, documents.shape[0], None, length, length)
            return lambda q, k, v: fovea.flex_attention(q, k, v, relative, mask)
        back = (torch.arange(length).view(-1, 1) - torch.arange(length)).clamp(min=0)
        added = bias[buckets[back]].permute(2, 0, 1)
        hidden = documents.unsqueeze(-1) != documents.unsqueeze(-2)
        hidden = (hidden | torch.ones(length, length).triu(1).bool()).unsqueeze(1)

        def attend(q, k, v):
            scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 + added
            return torch.softmax(scores.masked_fill(hidden, float("-inf")), -1) @ v

        return attend

    def forward(self, text, documents):
        x, attend = self.embed(text), self.attend(documents)
        for block in self.blocks:
            x = block(x, attend)
        return self.last(x) @ self.embed.weight.T


class Packed:
    """Rows of whole and cut source files behind each other, in a fixed random order."""

    def __init__(self):
        folder = Path(sysconfig.get_paths()["stdlib"])
        files = sorted(folder.glob("*.py")) + sorted(folder.glob("[a-z]*/*.py"))
        files = [f for f in files if "test" not in f.parts and "site-packages" not in f.parts]
        order = torch.randperm(len(files), generator=torch.Generator().manual_seed(0)).tolist()
        texts = [files[i].read_bytes() for i in order]
        self.bytes = torch.frombuffer(bytearray(b"".join(texts)), dtype=torch.uint8)
        lengths = torch.tensor([len(t) for t in texts])
        self.documents = torch.repeat_interleave(torch.arange(len(texts)), lengths)
        self.files, self.random = len(texts), torch.Generator().manual_seed(1)

    def step(self):
        """(text, next byte, document), (ROWS, LENGTH) each; a byte has no next one at its
        document's end."""
        starts = torch.randint(len(self.bytes) - LENGTH - 1, (ROWS,), generator=self.random)
        index = starts.view(-1, 1) + torch.arange(LENGTH + 1)
        text, documents = self.bytes[index].long(), self.documents[index]
        ends = documents[:, 1:] != documents[:, :-1]
        return text[:, :-1], text[:, 1:].masked_fill(ends, -100), documents[:, :-1].contiguous()


class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, (0.9, 0.95))
        self.steps = 0

    def step(self, text, following, documents):
        self.steps += 1
        for group in self.optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, self.steps / WARM_UP)
        logits = self.model(text, documents)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), following.flatten())
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()


def show(step, steps, loss, seconds):
    tokens = step * ROWS * LENGTH / seconds
    if sys.stderr.isatty():
        bar = "#" * (30 * step // steps)
        end = "\n" if step == steps else ""
        text = f"\r[{bar:30}] step {step} of {steps}, loss {loss:.3f}, {tokens:.0f} tokens/s"
        print(text, end=end, file=sys.stderr, flush=True)
    elif step == 1 or step % 20 == 0 or step == steps:
        print(f"step {step:4}: loss {loss:.3f}, {tokens:.0f} tokens/s", flush=True)


@torch.no_grad()
def sample(model, start, count=160):
    """Greedy but for a little temperature, one document."""
    random = torch.Generator().manual_seed(3)
    text = torch.tensor([list(start)])
    for _ in range(count):
        seen = text[:, -LENGTH:]
        logits = model(seen, torch.zeros_like(seen))[0, -1] / 0.6
        following = torch.multinomial(torch.softmax(logits, -1), 1, generator=random)
        text = torch.cat([text, following.view(1, 1)], 1)
    return bytes(text[0].tolist()).decode("utf-8", "replace")


def draw(path, losses, dense):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.plot(range(1, len(losses) + 1), losses, label="fovea")
    axes.plot(range(1, len(dense) + 1), dense, "--", label="scores in memory")
    axes.axhline(LOSS_BOUND, color="grey", linewidth=0.8, label="bound")
    axes.set(xlabel="step", ylabel="loss (nats a byte)", title="A language model of bytes")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=180, metavar="N", help="default 180")
    parser.add_argument("--picture", type=Path, default=Path("loss.png"), metavar="FILE")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    torch.manual_seed(0)
    data, model = Packed(), Model()
    twin = copy.deepcopy(model)
    twin.dense = True
    print(
        f"{len(data.bytes) / 1e6:.1f} MB of Python's standard library in {data.files} documents; "
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} million parameters, "
        f"{torch.get_num_threads()} threads"
    )
    ours, theirs, losses, dense, times = Trainer(model), Trainer(twin), [], [], [0.0, 0.0]
    for step in range(1, arguments.steps + 1):
        batch = data.step()
        start = time.perf_counter()
        losses.append(ours.step(*batch))
        times[0] += time.perf_counter() - start
        if step <= COMPARED_STEPS:
            start = time.perf_counter()
            dense.append(theirs.step(*batch))
            times[1] += time.perf_counter() - start
        show(step, arguments.steps, losses[-1], times[0])
    apart = max(abs(a - b) for a, b in zip(losses, dense, strict=False))
    last = sum(losses[-10:]) / len(losses[-10:])
    speed = [n * ROWS * LENGTH / t for n, t in zip((len(losses), len(dense)), times, strict=True)]
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    draw(arguments.picture, losses, dense)
    print(f"{speed[0]:.0f} tokens/s; {speed[1]:.0f} with the scores in memory")
    print(f"losses of the first {len(dense)} steps: at most {apart:.1e} from those of the latter")
    print(f"loss {losses[0]:.2f} -> {last:.2f} (must be below {LOSS_BOUND}): {arguments.picture}")
    print(f"a sample:\n{sample(model, b'def ')}")
    if apart > COMPARED_TOLERANCE or not last < LOSS_BOUND:
        print("FAILED: the loss is not what it should be", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
