#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a bench: `run.py NAME [OPTION ...]`; `run.py --help` lists the options.

Ours and the peers are interleaved in one process and compared before they are timed; a mismatch
makes the exit status 1. A missed goal does not: benches report.
"""

import argparse
import importlib
import os
import sys
from pathlib import Path

import fovea_capi
import harness
import peers

# Several benches by one name.
GROUPS = {"cpu": ("cpu-forward", "cpu-backward", "cpu-decode", "overhead")}


def find_cases():
    """{name: module}, one file in cases/ a bench."""
    folder = Path(__file__).resolve().parent / "cases"
    files = sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_"))
    modules = [importlib.import_module(f"cases.{stem}") for stem in files]
    return {module.NAME: module for module in modules}


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value


def parse_arguments(names):
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    known = ", ".join((*names, *GROUPS))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{known} or all")
    parser.add_argument("--case", metavar="TEXT", help="only cases whose name contains it")
    parser.add_argument("--no-peers", action="store_true", help="ours alone")
    parser.add_argument("--json", metavar="FILE", help="write the rows to FILE as well")
    parser.add_argument("--quick", action="store_true", help="fewer cases, fewer repeats")
    parser.add_argument("--long", action="store_true", help="slow peers too")
    parser.add_argument("--repeat", type=positive, metavar="N", help="rounds a case")
    parser.add_argument("--threads", type=positive, metavar="N", help="of ours and of the peers")
    parser.add_argument("--list", action="store_true", help="print the benches and stop")
    arguments = parser.parse_args()
    if arguments.names == ["all"]:
        arguments.names = list(names)
    arguments.names = [n for name in arguments.names for n in GROUPS.get(name, (name,))]
    for name in arguments.names:
        if name not in names:
            parser.error(f"bench name: expected one of {known}, got {name}")
    if not arguments.names and not arguments.list:
        parser.error("expected the name of a bench; --list shows them")
    return arguments


def load():
    """How busy the machine is: figures taken beside other work are worth less."""
    try:
        return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    except OSError:
        return "unknown"


def main():
    cases = find_cases()
    arguments = parse_arguments(list(cases))
    if arguments.list:
        for name, module in cases.items():
            print(f"{name:14}{module.__doc__.strip().splitlines()[0]}")
        return 0
    try:
        fovea_capi.library()
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    threads = arguments.threads or fovea_capi.default_threads()
    context = harness.Context(
        quick=arguments.quick,
        long=arguments.long,
        repeat=arguments.repeat,
        threads=threads,
        only=arguments.case or "",
        executor=fovea_capi.Executor(threads),
        torch=None if arguments.no_peers else peers.import_torch(threads),
    )
    print(f"fovea backends: {fovea_capi.backends().strip()}")
    version = context.torch.__version__ if context.torch else "peers left out"
    print(f"torch: {version}\nload average: {load()}", flush=True)
    for name in arguments.names:
        cases[name].run(context)
    print(f"\nload average: {load()}")
    if arguments.json:
        harness.write_json(arguments.json, context.rows)
    for failure in context.failures:
        print(f"FAILED {failure}")
    return 1 if context.failures else 0


if __name__ == "__main__":
    sys.exit(main())
