# SPDX-License-Identifier: Apache-2.0
"""The Python package as the release build made its operators; `./run bench` builds them."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def load(context, name):
    """The module fovea, or None, with a note why bench `name` is left out."""
    if context.torch is None:
        context.note(f"{name}: left out: torch is not installed")
        return None
    library = ROOT / "build" / "release" / "torch" / "libfovea_torch.so"
    os.environ.setdefault("FOVEA_TORCH_LIBRARY", str(library))
    sys.path.insert(0, str(ROOT / "python"))
    try:
        import fovea
    except ImportError as error:
        context.note(f"{name}: left out: {error}")
        return None
    return fovea
