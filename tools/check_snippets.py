#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A code block below a line `<!-- examples/NAME.cpp -->` in docs/*.md stands in that example.

The lines of the block follow each other there; indentation does not count, and a line `...` leaves
some out.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"<!-- (examples/\w+\.cpp) -->\n+```cpp\n(.*?)```\n", re.S)


def parts_of(block):
    """The runs of lines between `...`."""
    parts = [[]]
    for line in block.splitlines():
        if line.strip() == "...":
            parts.append([])
        elif line.strip():
            parts[-1].append(line.strip())
    return [part for part in parts if part]


def main():
    checked = 0
    for page in sorted((ROOT / "docs").glob("*.md")):
        for example, block in BLOCK.findall(page.read_text()):
            source = [line.strip() for line in (ROOT / example).read_text().splitlines()]
            source = [line for line in source if line]
            for part in parts_of(block):
                checked += 1
                count = len(part)
                if not any(source[i : i + count] == part for i in range(len(source) - count + 1)):
                    sys.exit(f"{page.relative_to(ROOT)}: not in {example}:\n" + "\n".join(part))
    if checked == 0:
        sys.exit("docs: expected code blocks of examples, found none")
    print(f"{checked} code blocks of docs stand in examples")


if __name__ == "__main__":
    main()
