#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Includes point one way, public headers need the standard library alone, and so on.

The rules are the tables below; docs/architecture.md draws them.
"""

import re
import sys

from repo_files import ROOT, repo_files, report

SOURCES = (".h", ".cpp", ".def", ".cu", ".cuh")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
CONDITION = re.compile(r"^\s*#\s*(?:el)?if(?:n?def)?\b.*\bFOVEA_(?:HAVE|WITH|ISA)_\w+")

# What a folder of src/ may include besides itself. The longest matching folder counts; files
# directly in src/ are the api and may include everything.
BELOW = {
    "core": set(),
    "program": {"core"},
    "analysis": {"core", "program"},
    "mask": {"core", "program", "analysis"},
    "attention": {"core", "program", "analysis", "mask"},
    "routing": {"core"},
    "cpu": {"core"},
    "cpu/attention": {"core", "program", "analysis", "mask", "attention", "cpu"},
    "cpu/routing": {"core", "routing", "cpu"},
    "cuda": {"core"},
    "cuda/attention": {"core", "program", "analysis", "mask", "attention", "cuda"},
    "cuda/routing": {"core", "routing", "cuda"},
}

# The layer that each public header belongs to. One that is not named here is the api's.
PUBLIC = {
    "config": "core",
    "dtype": "core",
    "error": "core",
    "executor": "core",
    "export": "core",
    "hash": "core",
    "random": "core",
    "tensor": "core",
    "version": "core",
    "program": "program",
    "value": "program",
    "vector": "program",
    "dropout": "program",
    "block_mask": "mask",
    "block_mask_file": "mask",
    "attention": "attention",
    "attention_backward": "attention",
    "merge": "attention",
}

# Folders that use fovea as anybody would: <fovea/...> and their own headers.
USERS = ("cli", "examples", "bench/capi", "tests/install", "tests/compile_fail")

# Headers that they share.
SHARED = ("gallery/variant.h",)

# What src/ may include besides the C++ standard library (names without a dot).
C_AND_PROCESSOR = re.compile(
    r"^((std(def|int|lib)|string|math|sched|pthread|unistd|dlfcn|fcntl|errno)\.h"
    r"|sys/\w+\.h|immintrin\.h|arm_neon\.h|arm_bf16\.h)$"
)
STANDARD = re.compile(r"^[a-z_]+$")


def layer_of(path):
    """The layer of a path relative to src/, or "api"."""
    parts = path.split("/")[:-1]
    for length in range(len(parts), 0, -1):
        if "/".join(parts[:length]) in BELOW:
            return "/".join(parts[:length])
    return "api"


def may_include(layer, target):
    if layer == target or layer == "api":
        return True
    return target in BELOW[layer]


def public_layer(name):
    """The layer of <fovea/name>."""
    return PUBLIC.get(name.removeprefix("fovea/").removesuffix(".h"), "api")


def check_public(name):
    """The standard library, and public headers of its own layer or a lower one."""
    layer = public_layer(name.removeprefix("include/"))

    def problem(quote, target):
        if quote == "<" and target.startswith("fovea/"):
            if not may_include(layer, public_layer(target)):
                return f"a header of {layer} includes one of {public_layer(target)}"
            return None
        if quote == "<" and STANDARD.match(target):
            return None
        return "a public header includes the standard library and <fovea/...> only"

    return problem


def check_internal(name):
    layer = layer_of(name.removeprefix("src/"))

    def problem(quote, target):
        if quote == "<" and target.startswith("fovea/"):
            other = public_layer(target)
        elif quote == "<":
            fine = STANDARD.match(target) or C_AND_PROCESSOR.match(target)
            return None if fine else "the library depends on the standard library and the system"
        elif not (ROOT / "src" / target).is_file():
            return "no such file; internal headers are named relative to src/"
        else:
            other = layer_of(target)
        return None if may_include(layer, other) else f"{layer} must not include {other}"

    return problem


def check_user(name):
    folder = (ROOT / name).parent

    def problem(quote, target):
        if quote == '"' and not (folder / target).is_file() and target not in SHARED:
            return "this folder sees <fovea/...> and its own headers only"
        return None

    return problem


def rule_for(name):
    if name.startswith("include/fovea/"):
        return check_public(name)
    if name.startswith("src/"):
        return check_internal(name)
    if name.startswith(tuple(f"{folder}/" for folder in USERS)):
        return check_user(name)
    return None


def main():
    problems, count = [], 0
    for path in repo_files(*SOURCES):
        name = path.as_posix()
        rule = rule_for(name)
        if rule is None:
            continue
        count += 1
        # Which backends and instruction sets exist is a matter of src/cpu and src/cuda alone.
        backend = name.startswith(("src/cpu/", "src/cuda/"))
        shared = name.startswith(("include/", "src/")) and not backend
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
            include = INCLUDE.match(line)
            problem = rule(*include.groups()) if include else None
            if shared and CONDITION.match(line):
                problem = "no #if for a backend in shared code"
            if problem:
                problems.append(f"{name}:{number}: {line.strip()}: {problem}")
    return report(problems, f"{count} files, includes point one way")


if __name__ == "__main__":
    sys.exit(main())
