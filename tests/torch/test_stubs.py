# SPDX-License-Identifier: Apache-2.0
"""The type stubs name what the package has, with the same parameters and defaults."""

import ast
import inspect
from pathlib import Path

import fovea
import pytest

STUB = ast.parse(Path(fovea.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
DEFINED = {n.name: n for n in STUB.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}


def of_stub(function):
    """{parameter: its default as text, or None}, without self."""
    a = function.args
    plain = [*a.posonlyargs, *a.args]
    defaults = [None] * (len(plain) - len(a.defaults)) + a.defaults
    found = dict(zip([x.arg for x in plain], defaults, strict=True))
    found |= dict(zip([x.arg for x in a.kwonlyargs], a.kw_defaults, strict=True))
    return {k: v and ast.unparse(v) for k, v in found.items() if k not in ("self", "cls")}


def of_package(function):
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in ("self", "cls") or parameter.kind in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        ):
            continue
        empty = parameter.default is parameter.empty
        found[name] = None if empty else repr(parameter.default)
    return found


def test_every_public_name_is_there():
    assert set(fovea.__all__) == set(DEFINED)


@pytest.mark.parametrize("name", [n for n, d in DEFINED.items() if isinstance(d, ast.FunctionDef)])
def test_parameters(name):
    overloads = [n for n in STUB.body if getattr(n, "name", None) == name]
    real = of_package(getattr(fovea, name))
    assert of_stub(overloads[0]) == real
    for other in overloads[1:]:  # narrower in types, and so without some defaults
        assert list(of_stub(other)) == list(real)


@pytest.mark.parametrize("name", [n for n, d in DEFINED.items() if isinstance(d, ast.ClassDef)])
def test_methods(name):
    real = getattr(fovea, name)
    for method in DEFINED[name].body:
        if not isinstance(method, ast.FunctionDef):
            continue
        assert hasattr(real, method.name), method.name
        decorated = [ast.unparse(d) for d in method.decorator_list]
        if "property" in decorated or method.name.startswith("__get"):
            continue
        stub, found = of_stub(method), of_package(getattr(real, method.name))
        if method.args.kwarg:  # **options stand for rare ones
            found = {k: v for k, v in found.items() if k in stub}
        assert stub == found, method.name


def test_backends_are_all_named():
    named = [t.targets[0].id for t in DEFINED["Backend"].body if isinstance(t, ast.Assign)]
    assert named == [b.name for b in fovea.Backend]
