# SPDX-License-Identifier: Apache-2.0
"""fovea::torch for C++ programs: installed, found by CMake, and right."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import torch

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ["FOVEA_TORCH_LIBRARY"]).resolve().parents[1]


def run(*command):
    made = subprocess.run([str(x) for x in command], capture_output=True, text=True, check=False)
    assert made.returncode == 0, f"{made.stdout[-3000:]}\n{made.stderr[-3000:]}"
    return made.stdout


@pytest.mark.skipif(shutil.which("cmake") is None, reason="a wheel's user has no CMake")
def test_a_program_links_the_installed_library():
    folder = BUILD / "install-test" / "torch"
    shutil.rmtree(folder, ignore_errors=True)
    run("cmake", "--install", BUILD, "--prefix", folder / "prefix")
    (folder / "prefix").rename(folder / "moved")  # nothing may name the place of the build
    run(
        "cmake",
        *("-S", ROOT / "tests" / "install", "-B", folder / "build", "-G", "Ninja"),
        *("-D", "CMAKE_BUILD_TYPE=Release", "-D", f"CMAKE_PREFIX_PATH={folder / 'moved'}"),
        *("-D", f"FOVEA_TORCH={torch.utils.cmake_prefix_path}"),
    )
    run("cmake", "--build", folder / "build", "--target", "torch_consumer")
    assert "fovea::torch works" in run(folder / "build" / "torch_consumer")
