#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/variants/: a page and a picture for each variant of examples/gallery.

usage: make_variant_pages.py PROGRAM [--check]

PROGRAM is the built `fovea`. With --check nothing is written, and pages that are out of date are an
error; of pictures, only whether they are there, since their colours come from rounded numbers.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs/variants"
INDEX = """# Attention variants

Each is a file of [examples/gallery](../../examples/gallery): an ordinary lambda, and the same
formula in plain C++ that its test compares it with. `fovea mask NAME` draws it, `fovea explain
NAME` says how it runs, `fovea demo --variant NAME` runs and measures it.

Pictures of masks show blocks of 32 x 32 over 2048 tokens, queries down and keys across: blue blocks
are full, orange ones partial, grey ones skipped. Pictures of scores show what becomes of a score
of 1 over 32 tokens: blue is less, orange more, white the same, grey hidden.

| | variant | what it does |
|---|---|---|
"""
NUMBERS = (
    "Its numbers, where none are given (for {length} tokens; they scale with the length): {list}.\n"
)


def code_of(name):
    """The source without what every file has."""
    lines = (ROOT / "examples/gallery" / f"{name}.cpp").read_text().splitlines()
    return "\n".join(lines[1:]).strip()


def page_of(variant):
    name = variant["name"]
    text = f"# {name}\n\n{variant['description']}\n\n```\n{variant['formula']}\n```\n\n"
    text += f"Source: {variant['source']}.\n\n![{name}]({name}.svg)\n\n"
    if variant["parameters"]:
        numbers = [f"`{key}` = {value:g}" for key, value in variant["parameters"].items()]
        text += NUMBERS.format(length=variant["length"], list=", ".join(numbers)) + "\n"
    programs = [f"{kind}  {variant[kind]}" for kind in ("score_mod", "mask_mod") if variant[kind]]
    if programs:
        listing = "\n".join(programs)
        text += f"The program that tracing leaves, simplified:\n\n```\n{listing}\n```\n\n"
    source = f"examples/gallery/{name}.cpp"
    return text + f"[{source}](../../{source}):\n\n```cpp\n{code_of(name)}\n```\n"


def wanted_files(program):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        command = [program, "gallery", "--json", folder / "all.json", "--pictures", folder]
        subprocess.run(command, check=True)
        variants = json.loads((folder / "all.json").read_text())
        files, index = {}, INDEX
        for variant in variants:
            name = variant["name"]
            files[f"{name}.md"] = page_of(variant)
            files[f"{name}.svg"] = (folder / f"{name}.svg").read_text()
            picture = f'<img src="{name}.svg" width="96">'
            index += f"| {picture} | [{name}]({name}.md) | {variant['description']} |\n"
        files["README.md"] = index
        return files


def main():
    program, check = sys.argv[1], "--check" in sys.argv[2:]
    files = wanted_files(program)
    there = {p.name: p.read_text() for p in PAGES.glob("*")} if PAGES.is_dir() else {}
    names = sorted(files.keys() | there.keys())
    differing = [name for name in names if files.get(name) != there.get(name)]
    if check:
        same_names = files.keys() == there.keys()
        differing = [n for n in differing if n.endswith(".md") or not same_names]
    if check and differing:
        sys.exit(f"docs/variants is out of date, run ./run docs: {', '.join(differing[:8])}")
    if not check:
        PAGES.mkdir(parents=True, exist_ok=True)
        for name in differing:
            if name in files:
                (PAGES / name).write_text(files[name])
            else:
                (PAGES / name).unlink()
    print(f"docs/variants: {len(files)} files, {0 if check else len(differing)} written")


if __name__ == "__main__":
    main()
