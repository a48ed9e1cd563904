# SPDX-License-Identifier: Apache-2.0
"""The wheel: made of the release build, installed apart, used without compilers."""

import subprocess
import sys
from pathlib import Path

import pytest

import torch

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("TESTS", "CLI", "BENCH", "EXAMPLES")

USE = """
import torch, fovea
assert fovea.__file__.startswith({folder!r}), fovea.__file__
q, k, v = (torch.randn(1, 2, 33, 16, requires_grad=True) for _ in range(3))
slopes = torch.tensor([0.5, -0.25], requires_grad=True)
out = fovea.flex_attention(q, k, v, lambda s, b, h, i, j: s + slopes[h] * (i - j))
bias = slopes[:, None, None] * (torch.arange(33)[:, None] - torch.arange(33))
expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, bias)
torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
out.sum().backward()
assert slopes.grad is not None
print("used")
"""


def run(*command, **options):
    return subprocess.run(
        command, check=False, text=True, capture_output=True, timeout=600, **options
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # As the release build has them: nothing but the wheel is new.
    same = [f"-Ccmake.define.FOVEA_BUILD_{part}=AUTO" for part in PARTS]
    pip = (sys.executable, "-m", "pip", "-q", "--disable-pip-version-check")
    build = (*pip, "wheel", str(ROOT), "--no-build-isolation", "--no-deps", "-w", str(folder))
    made = run(*build, f"-Cbuild-dir={ROOT / 'build' / 'release'}", *same)
    assert made.returncode == 0, made.stderr
    (wheel,) = folder.glob("fovea_attention-*.whl")
    target = folder / "site"
    made = run(*pip, "install", "--no-deps", "--target", str(target), str(wheel))
    assert made.returncode == 0, made.stderr
    return target


def python(installed, code):
    """With nothing but the wheel and the packages that it needs: no PATH, so no compilers."""
    packages = Path(torch.__file__).resolve().parents[1]
    environment = {"PATH": "/nonexistent", "PYTHONPATH": f"{installed}:{packages}"}
    return run(sys.executable, "-c", code, env=environment, cwd=installed.parent)


def test_used(installed):
    done = python(installed, USE.format(folder=str(installed)))
    assert done.stdout.strip() == "used", done.stderr
    assert (installed / "fovea" / "py.typed").exists()


def test_built_for_another_torch(installed):
    version = installed / "fovea" / "torch_version.txt"
    right = version.read_text(encoding="utf-8")
    assert right.strip() == torch.__version__.split("+")[0]
    version.write_text("2.4.1\n", encoding="utf-8")
    done = python(installed, "import fovea")
    version.write_text(right, encoding="utf-8")
    here = torch.__version__.split("+")[0]
    assert f"fovea was built for torch 2.4.1 and found torch {here}" in done.stderr
