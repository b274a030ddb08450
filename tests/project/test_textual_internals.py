"""The interface keeps to what Textual and Rich document; the rest stands in `ui/textual_compat`."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from qwen3_chat.ui.textual_compat import SteadyScrollView
from tests.conftest import REPOSITORY

COMPAT = REPOSITORY / "qwen3_chat" / "ui" / "textual_compat"
MODULES = tuple(
    path
    for path in sorted((REPOSITORY / "qwen3_chat").rglob("*.py"))
    if COMPAT not in path.parents and ("ui" in path.parts or "from textual" in path.read_text("utf-8"))
)
LIBRARIES = ("textual", "rich")

DOCUMENTED = {
    "app",
    "await_complete",
    "binding",
    "cache",
    "color",
    "command",
    "containers",
    "content",
    "errors",
    "events",
    "geometry",
    "getters",
    "message",
    "reactive",
    "screen",
    "scroll_view",
    "strip",
    "theme",
    "timer",
    "widget",
    "widgets",
    "worker",
}
"""The modules of Textual that its API reference or its guide explains, of those that we use."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def is_of_library(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in LIBRARIES


@cache
def class_tree(cls: type) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(cls)))


def names_of_self(tree: ast.AST) -> set[str]:
    """Return the private names that a class defines or uses, as methods or attributes."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.Name(id=name, ctx=ast.Store())
            ):
                names.add(name)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                names.add(name)
    return set(filter(is_private, names))


@cache
def names_of_library(cls: type) -> set[str]:
    """Return the private names that the library's base classes of a class define."""
    bases = [base for base in cls.__mro__ if is_of_library(base)]
    return {name for base in bases for name in {*vars(base), *names_of_self(class_tree(base))}}


@cache
def defined_names(paths: Sequence[Path]) -> set[str]:
    """Return every private name that modules define, for themselves or for objects of theirs."""
    names: set[str] = set()
    for node in (node for path in paths for node in ast.walk(ast.parse(path.read_text("utf-8")))):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
    return set(filter(is_private, names))


def undocumented_imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                paths = [alias.name for alias in aliases]
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                paths = [f"{module}.{alias.name}" for alias in aliases]
            case _:
                continue
        for path in paths:
            library, *parts = path.split(".")
            if library in LIBRARIES and (
                any(map(is_private, parts))
                or (library == "textual" and len(parts) > 1 and parts[0] not in DOCUMENTED)
            ):
                yield path


def foreign_names(tree: ast.AST, own: set[str]) -> Iterator[str]:
    """Yield the private names that are taken from other objects and that the interface does not define."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name) if is_private(name) and name not in own:
                yield ast.unparse(node)
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr" | "hasattr"),
                args=[_, ast.Constant(value=str(name)), *_],
            ) if is_private(name) and name not in own:
                yield ast.unparse(node)


def shared_names(path: Path) -> Iterator[str]:
    """Yield the private names that a class of a module shares with the library's classes that it extends."""
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
    for cls in vars(module).values():
        if (
            isinstance(cls, type)
            and cls.__module__ == module.__name__
            and any(map(is_of_library, cls.__mro__))
        ):
            theirs = names_of_library(cls)
            for base in cls.__mro__:
                if base.__module__.startswith("qwen3_chat.") and not base.__module__.startswith(
                    "qwen3_chat.ui.textual_compat"
                ):
                    yield from (
                        f"{base.__name__}.{name}" for name in names_of_self(class_tree(base)) & theirs
                    )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_only_the_compatibility_module_leans_on_what_textual_does_not_document(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    found = [*undocumented_imports(tree), *foreign_names(tree, defined_names(MODULES)), *shared_names(path)]
    assert sorted(set(found)) == []


def test_the_check_finds_each_way_to_lean_on_textual() -> None:
    source = """
from textual._xterm_parser import XTermParser
from textual.keys import _character_to_key
from textual.drivers.linux_driver import LinuxDriver
def lean(app):
    app.screen._compositor.render()
    super()._on_key(app)
    getattr(app, "_driver")
    app._own
"""
    tree = ast.parse(source)
    assert list(undocumented_imports(tree)) == [
        "textual._xterm_parser.XTermParser",
        "textual.keys._character_to_key",
        "textual.drivers.linux_driver.LinuxDriver",
    ]
    assert set(foreign_names(tree, {"_own"})) == {
        "app.screen._compositor",
        "super()._on_key",
        "getattr(app, '_driver')",
    }
    assert "_size_updated" in names_of_self(class_tree(SteadyScrollView)) & names_of_library(SteadyScrollView)
