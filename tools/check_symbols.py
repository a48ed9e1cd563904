#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kernel objects export nothing that the linker could share: `check_symbols.py BUILD_FOLDER`.

A weak symbol, an inline std:: function say, exists once in the program. Were its copy from the
AVX-512 objects kept, a machine without AVX-512 would run it.
"""

import subprocess
import sys
from pathlib import Path

from repo_files import report

# nm's letters: weak functions, weak objects, unique ones.
SHARED = set("WVu")


def weak_symbols(object_file):
    done = subprocess.run(["nm", "-C", object_file], capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        kind, _, symbol = line[17:].partition(" ")  # after 16 digits of address
        if kind in SHARED:
            yield symbol


def main():
    build = Path(sys.argv[1])
    objects = sorted(build.glob("**/fovea_cpu_isa_*.dir/**/*.o"))
    if not objects:
        print(f"{build}: expected kernel objects, found none")
        return 1
    problems = [f"{path.relative_to(build)}: {s}" for path in objects for s in weak_symbols(path)]
    return report(problems, f"{len(objects)} kernel objects, no weak symbols")


if __name__ == "__main__":
    sys.exit(main())
