#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The README shows examples/hello.cpp and what it prints. With --write, makes it so.

usage: check_readme.py PROGRAM [--write]
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.compile(
    r"(<!-- examples/hello.cpp -->\n```cpp\n)(.*?)(```\n\nprints\n\n```\n)(.*?)(```\n)", re.S
)


def main():
    program, write = sys.argv[1], "--write" in sys.argv[2:]
    source = (ROOT / "examples/hello.cpp").read_text().split("\n", 1)[1]
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    printed = "".join(line.rstrip() + "\n" for line in printed.splitlines())
    readme = ROOT / "README.md"
    text = readme.read_text()
    if not BLOCKS.search(text):
        sys.exit("README.md: expected the two blocks of examples/hello.cpp, found none")
    wanted = BLOCKS.sub(lambda m: m[1] + source + m[3] + printed + m[5], text)
    if write:
        readme.write_text(wanted)
    elif wanted != text:
        sys.exit(
            "README.md must show examples/hello.cpp and its output: "
            "run tools/check_readme.py PROGRAM --write"
        )
    print("README.md shows examples/hello.cpp and its output")


if __name__ == "__main__":
    main()
