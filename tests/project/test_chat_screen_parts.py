from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

UI = REPOSITORY / "qwen3_chat" / "ui"
CONTROLLERS = sorted((UI / "controllers").glob("*_controller.py"))
SCREENS = sorted((UI / "screens").glob("*_screen.py"))
PARTS = [*CONTROLLERS, UI / "screens" / "chat_screen.py", UI / "screens" / "reading_screen.py"]
QUERIES = {"query", "query_one", "query_exactly_one", "query_children", "query_ancestor"}
GUARDS = {"getters", "hasattr", "NoMatches", "NoScreen", "is_mounted", "is_attached"}


def name_of(path: Path) -> str:
    return path.stem


def queries_and_guards(path: Path) -> set[str]:
    """The queries that a module makes, and the names with which it could ask whether a widget is there."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(attr=name)) if name in QUERIES:
                names.add(name)
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in GUARDS:
                names.add(name)
    return names


@pytest.mark.parametrize("path", [*CONTROLLERS, *SCREENS], ids=name_of)
def test_a_screen_has_its_widgets_and_never_looks_for_them(path: Path) -> None:
    assert queries_and_guards(path) == set()


@pytest.mark.parametrize("path", PARTS, ids=name_of)
def test_state_is_set_in_the_constructor(path: Path) -> None:
    for class_ in [
        node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.ClassDef)
    ]:
        written: dict[bool, set[str]] = {True: set(), False: set()}
        for function in [
            node for node in class_.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]:
            for node in ast.walk(function):
                match node:
                    case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                        written[function.name == "__init__"].add(name)
        assert sorted(written[False] - written[True]) == []


@pytest.mark.parametrize("path", CONTROLLERS, ids=name_of)
def test_a_controller_is_one_class_without_a_chain_of_bases(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    (class_,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    assert [ast.unparse(base) for base in class_.bases] == ["Controller"]
    calls = [node for node in ast.walk(class_) if isinstance(node, ast.Call)]
    chained = [
        ast.unparse(node)
        for node in calls
        if ast.unparse(node.func).startswith("super().") and ast.unparse(node.func) != "super().__init__"
    ]
    assert chained == []


@pytest.mark.parametrize("path", CONTROLLERS, ids=name_of)
def test_a_controller_writes_no_state_but_its_own(path: Path) -> None:
    """It may set what widgets show, but no field of another controller, of the view or of the screen."""
    others = {
        "_view",
        "_screen",
        "_session",
        "_store",
        "_chat_tree",
        "_turn",
        "_turns",
        "_versions",
        "_drafts",
    }
    written = [
        f"{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store | ast.Del)
        and getattr(node.value, "attr", None) in others
    ]
    assert written == []
