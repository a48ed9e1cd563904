# SPDX-License-Identifier: Apache-2.0
"""Tests of the Python package, on the operators as the release build made them. `./run test` runs
them."""

import os
import sys
from pathlib import Path

import pytest

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))
for library in sorted((ROOT / "build").glob("*/torch/libfovea_torch.so")):
    os.environ.setdefault("FOVEA_TORCH_LIBRARY", str(library))


@pytest.fixture(autouse=True)
def same_numbers():
    torch.manual_seed(0)
