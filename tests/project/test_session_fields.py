from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

SESSION_CLASSES = {"ChatSession", "ChatConfiguration"}
PACKAGE = sorted((REPOSITORY / "qwen3_chat").rglob("*.py"))


def names_of_sessions(tree: ast.Module) -> set[str]:
    """The names that stand for a session: `session`, `_session`, and whatever is annotated as one."""
    names = {"session", "_session"}
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name, annotation=ast.expr() as annotation):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                pass
            case ast.AnnAssign(target=ast.Attribute(attr=name), annotation=annotation):
                pass
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=annotation)):
                pass
            case _:
                continue
        words = {part.id for part in ast.walk(annotation) if isinstance(part, ast.Name)}
        words |= {part.attr for part in ast.walk(annotation) if isinstance(part, ast.Attribute)}
        if words & SESSION_CLASSES:
            names.add(name)
    return names


def writes_to_sessions(tree: ast.Module) -> Iterator[str]:
    """Every place that assigns or deletes a field of a session other than its own `self`."""
    sessions = names_of_sessions(tree)

    def is_session(node: ast.expr) -> bool:
        return getattr(node, "id", None) in sessions or getattr(node, "attr", None) in sessions

    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=owner, ctx=ast.Store() | ast.Del()) if is_session(owner):
                yield f"{node.lineno}: {ast.unparse(node)}"
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[owner, *_]) if is_session(owner):
                yield f"{node.lineno}: {ast.unparse(node)}"
            case ast.Call(func=ast.Name(id="vars"), args=[owner]) if is_session(owner):
                yield f"{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_nobody_but_the_session_writes_its_fields(path: Path) -> None:
    assert list(writes_to_sessions(ast.parse(path.read_text("utf-8")))) == []


@pytest.mark.parametrize(
    "source",
    [
        "session.messages = ()",
        "self._session.messages += (stored,)",
        "screen.session.options = replace(screen.session.options, seed=1)",
        "del session.chat",
        "session.chat, other = chat, 1",
        "setattr(session, name, value)",
        "vars(session)['chat'] = None",
        "def use(talk: ChatSession) -> None:\n    talk.engine = engine",
        "def use(talk: ChatSession | None) -> None:\n    talk.engine = engine",
        "talk = ChatSession(engine, store)\ntalk.engine = engine",
    ],
)
def test_a_write_to_a_session_is_seen_under_any_name(source: str) -> None:
    assert list(writes_to_sessions(ast.parse(source)))


def test_what_a_session_does_to_itself_and_what_others_read_is_no_write() -> None:
    source = "self.messages = ()\nself._session = session\nnames = session.messages\nsession.start_new()"
    assert list(writes_to_sessions(ast.parse(source))) == []
