# SPDX-License-Identifier: Apache-2.0
"""Calls run on torch's threads, as many as it was given."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, torch, fovea
torch.set_num_threads({threads})
query, key, value = (torch.randn(1, 4, 512, 32).requires_grad_() for _ in range(3))
count = lambda: len(os.listdir("/proc/self/task"))
before = count()
out = fovea.flex_attention(query, key, value)
forward = count()
out.sum().backward()
print(forward - before, sum(x.grad.double().sum().item() for x in (query, key, value)))
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads in /proc")
@pytest.mark.parametrize("threads", [1, 3])
def test_as_many_threads_as_torch_has(threads):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    made = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(threads=threads)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert int(made.stdout.split()[0]) == threads - 1  # the caller is one of them
