# SPDX-License-Identifier: Apache-2.0
"""The trace and the timer, and the training of the demo."""

import json
import os
import subprocess
import sys
from pathlib import Path

from fovea import measure

import torch

ROOT = Path(__file__).resolve().parents[2]


def test_trace_names_the_operators(tmp_path, capsys):
    assert measure.main(["trace", str(tmp_path / "trace.json")]) == 0
    printed = capsys.readouterr().out
    events = json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))["traceEvents"]
    names = {event.get("name") for event in events}
    for name in ("fovea::flex_attention", "fovea::flex_attention_backward"):
        assert name in names
        assert name in printed


def test_microseconds_grow_with_the_work():
    x = torch.rand(300, 300)
    assert measure.microseconds(torch.mm, x, x) > 0


def test_training_compares_with_dense_and_fails_while_the_loss_is_high(tmp_path):
    script = ROOT / "examples" / "train_bytes.py"
    made = subprocess.run(
        [sys.executable, str(script), "--steps", "6", "--picture", str(tmp_path / "loss.png")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 1, made.stderr
    assert "FAILED: the loss" in made.stderr
    assert "losses of the first 5 steps: at most" in made.stdout
    assert float(made.stdout.split("at most ")[1].split()[0]) < 2e-3
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
