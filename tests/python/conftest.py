# SPDX-License-Identifier: Apache-2.0
"""Python tests drive the C++ library through bench/capi. `./run test` runs them."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
# Small tensors: threads would only cost.
torch.set_num_threads(1)
