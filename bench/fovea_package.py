# SPDX-License-Identifier: Apache-2.0
"""The Python package as the release build made its operators; `./run bench` builds them."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def load():
    """The module fovea, or None with the reason."""
    library = ROOT / "build" / "release" / "torch" / "libfovea_torch.so"
    os.environ.setdefault("FOVEA_TORCH_LIBRARY", str(library))
    sys.path.insert(0, str(ROOT / "python"))
    try:
        import fovea
    except ImportError as error:
        return None, str(error)
    return fovea, ""
