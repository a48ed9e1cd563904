# SPDX-License-Identifier: Apache-2.0
"""The Python example of the README prints what the README says."""

import contextlib
import io
import re
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
EXAMPLE = re.compile(r"```python\n(.*?)```\s*prints\s*```\n(.*?)```", re.DOTALL)


def lines(text):
    return [line.rstrip() for line in text.rstrip().splitlines()]


def test_example():
    code, expected = EXAMPLE.search(README.read_text(encoding="utf-8")).groups()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, str(README), "exec"), {})
    assert lines(printed.getvalue()) == lines(expected)
