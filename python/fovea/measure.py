# SPDX-License-Identifier: Apache-2.0
"""Times and traces of calls: `python -m fovea.measure trace [FILE]`."""

import argparse
import sys
from pathlib import Path

import fovea
import torch


def microseconds(function, *arguments, **options):
    """Mean time of function(*arguments, **options) in microseconds, over as many calls as a steady
    mean takes (torch.utils.benchmark), on torch's threads."""
    from torch.utils import benchmark

    timer = benchmark.Timer(
        stmt="function(*arguments, **options)",
        globals={"function": function, "arguments": arguments, "options": options},
        num_threads=torch.get_num_threads(),
    )
    return timer.blocked_autorange().mean * 1e6


def trace(path, function, calls=3):
    """Profiles `calls` calls of function(), writes them to `path` as a chrome trace (it opens in
    chrome://tracing and in Perfetto), and returns the profile. The rows of fovea's operators are
    named fovea::flex_attention and so on."""
    function()  # what happens once is left out
    with torch.profiler.profile(record_shapes=True) as profile:
        for _ in range(calls):
            function()
    profile.export_chrome_trace(str(path))
    return profile


def _module_pass():
    model = fovea.CausalSelfAttention(num_heads=8, embed_dimension=512, is_causal=True)
    x = torch.rand(4, 512, 512, requires_grad=True)
    return lambda: model(x).sum().backward()


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="fovea.measure", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["trace"])
    parser.add_argument("file", nargs="?", type=Path, default=Path("trace.json"), metavar="FILE")
    options = parser.parse_args(arguments)
    run = _module_pass()
    profile = trace(options.file, run)
    print(profile.key_averages().table(sort_by="cpu_time_total", row_limit=12))
    print(f"one forward and backward pass: {microseconds(run):.0f} us")
    print(f"chrome trace: {options.file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
