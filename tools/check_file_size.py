#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No file has more than 500 lines, but for those in tools/file_size_exceptions.txt."""

import sys

from repo_files import ROOT, repo_files, report

LIMIT = 500
SUFFIXES = (".h", ".cpp", ".def", ".cu", ".cuh", ".py", ".cmake", ".txt", ".md", ".json", "run")
EXCEPTIONS = "tools/file_size_exceptions.txt"


def read_exceptions():
    """{path: most lines}; a line of the file is `PATH LINES REASON`."""
    limits = {}
    for line in (ROOT / EXCEPTIONS).read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, lines, reason = line.split(maxsplit=2)
            assert reason
            limits[name] = int(lines)
    return limits


def main():
    exceptions = read_exceptions()
    problems, longest = [], (0, "")
    for path in repo_files(*SUFFIXES):
        name = path.as_posix()
        lines = len((ROOT / path).read_text().splitlines())
        limit = exceptions.pop(name, LIMIT)
        if lines > limit:
            problems.append(f"{name}: {lines} lines, at most {limit}")
        longest = max(longest, (lines, name))
    problems += [f"{EXCEPTIONS}: {name} does not exist" for name in exceptions]
    return report(problems, f"longest: {longest[1]}, {longest[0]} lines")


if __name__ == "__main__":
    sys.exit(main())
