# SPDX-License-Identifier: Apache-2.0
"""Loads the operators. A torch that they were not built for is one sentence that names both."""

import os
from pathlib import Path

import torch


def _built_for(folder):
    path = folder / "torch_version.txt"
    return path.read_text(encoding="utf-8").strip() if path.exists() else None


def load():
    named = os.environ.get("FOVEA_TORCH_LIBRARY")
    path = Path(named) if named else Path(__file__).resolve().parent / "libfovea_torch.so"
    built = _built_for(path.parent)
    here = torch.__version__.split("+")[0]
    if built is not None and built.split("+")[0] != here:
        raise ImportError(
            f"fovea was built for torch {built} and found torch {here}: install that torch, or "
            "build "
            "fovea again with this one (pip install --no-build-isolation .)"
        )
    if not path.exists():
        raise ImportError(f"fovea's operators are missing: expected {path}")
    torch.ops.load_library(str(path))


load()
ops = torch.ops.fovea


# It may have no tensor among its arguments, from which torch would take the device of the result.
@torch.library.register_fake("fovea::create_block_mask")
def _(*arguments):
    return torch.empty(1, dtype=torch.int64)
