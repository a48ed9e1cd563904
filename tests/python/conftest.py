# SPDX-License-Identifier: Apache-2.0
"""Python tests drive the C++ library through bench/capi, with the additions of tests/python/capi.
`./run test` runs them."""

import os
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
for library in sorted((ROOT / "build" / "release").rglob("libfovea_test_capi.so")):
    os.environ.setdefault("FOVEA_CAPI_LIBRARY", str(library))
# Small tensors: threads would only cost.
torch.set_num_threads(1)
