from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

SOURCES = sorted((REPOSITORY / "tests").rglob("*.py"))
OTHER_SYSTEMS = ("sys.platform", "os.name", "/proc", "/dev/full")
"""What a condition looks at that skips a test on systems that it is not about."""


def skips_of(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Each skip as its reason and the condition that it spells out."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="skip"), args=[ast.Constant(value=str(reason))]):
                yield reason, ""
            case ast.Call(
                func=ast.Attribute(attr="skipif" | "importorskip"), args=[condition, *_], keywords=named
            ):
                reasons = [ast.literal_eval(word.value) for word in named if word.arg == "reason"]
                yield "".join(reasons), ast.unparse(condition)


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_test_is_skipped_only_on_another_system_or_where_something_named_is_missing(path: Path) -> None:
    unexcused = [
        reason
        for reason, condition in skips_of(ast.parse(path.read_text("utf-8")))
        if not reason.startswith("needs ") and not any(word in condition for word in OTHER_SYSTEMS)
    ]
    assert unexcused == []


@pytest.mark.parametrize(
    "skip",
    ['pytest.skip("not today")', 'pytest.mark.skipif(SLOW, reason="slow")', 'pytest.importorskip("torch")'],
)
def test_a_skip_without_an_excuse_would_be_seen(skip: str) -> None:
    ((reason, condition),) = skips_of(ast.parse(skip))
    assert not reason.startswith("needs ")
    assert not any(word in condition for word in OTHER_SYSTEMS)
