#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What documents name in backticks as a file or folder exists, and so do the targets of links."""

import re
import sys

from repo_files import ROOT, repo_files, report

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/architecture.md")
# A name in backticks counts as a path if it has a folder or one of our endings, and no other signs.
PATH = re.compile(r"[\w.*{},/-]*\w[\w.*{},/-]*")
ENDING = re.compile(r"\.(h|cpp|def|cu|cuh|py|md|txt|json|cmake)$")
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
# Paths may be given relative to these.
BASES = ("", "src", "include", "docs")


def alternatives(name):
    """a/{b,c}.h -> a/b.h, a/c.h"""
    braces = re.search(r"\{([^{}]*)\}", name)
    if not braces:
        return [name]
    start, end = name[: braces.start()], name[braces.end() :]
    return [full for part in braces[1].split(",") for full in alternatives(start + part + end)]


def looks_like_path(text):
    if not PATH.fullmatch(text) or text.startswith(("/", "-", "_", "build/")):
        return False
    return "/" in text or ENDING.search(text) is not None


def exists(name):
    folders = [ROOT / base for base in BASES if (ROOT / base).is_dir()]
    return any(next(folder.glob(name.rstrip("/")), None) for folder in folders)


def main():
    known = {path.as_posix() for path in repo_files(".md")}
    problems, count = [], 0
    for document in [name for name in DOCUMENTS if name in known]:
        lines = (ROOT / document).read_text().splitlines()
        in_code = False
        for number, line in enumerate(lines, 1):
            in_code ^= line.startswith("```")
            if in_code:
                continue
            # Of a command only the program is a path: `./run test`.
            texts = [words.split()[0] for words in re.findall(r"`([^`]+)`", line) if words.strip()]
            texts = [text.removeprefix("./") for text in texts]
            names = [name for text in texts if looks_like_path(text) for name in alternatives(text)]
            for name in names:
                count += 1
                if not exists(name):
                    problems.append(f"{document}:{number}: {name} does not exist")
            for link in LINK.findall(line):
                count += 1
                if not ((ROOT / document).parent / link).exists():
                    problems.append(f"{document}:{number}: link to {link}, which does not exist")
    return report(problems, f"{count} paths and links exist")


if __name__ == "__main__":
    sys.exit(main())
