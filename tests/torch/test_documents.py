# SPDX-License-Identifier: Apache-2.0
"""The Python examples of the README and of the guides print what stands under them."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "docs/flex-attention.md", "docs/sdpa.md")
EXAMPLE = re.compile(r"```python\n(.*?)```(?:\s*prints\s*```\n(.*?)```)?", re.DOTALL)


def lines(text):
    return [line.rstrip() for line in text.rstrip().splitlines()]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_examples(name):
    examples = EXAMPLE.findall((ROOT / name).read_text(encoding="utf-8"))
    assert examples
    names = {}  # one page, one program
    for code, expected in examples:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, name, "exec"), names)
        assert lines(printed.getvalue()) == lines(expected)
