"""The codes of errors: documented, raised, never renamed, and what decisions match on."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen3_chat.error_codes import CANCELLATION_CODES, ErrorCode
from qwen3_chat.errors import MAX_QUOTE_CHARACTERS, Cancelled, EngineError, UsageError
from qwen3_chat.events import EngineFailed
from qwen3_chat.texts import Language, load_catalogue
from tests.conftest import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "error-codes.md"
PINNED_CODES = Path(__file__).with_name("error_codes.txt")
"""Every code that a version had, one a line; a line may be added, but never changed or removed."""
SOURCES = [
    path
    for path in sorted((REPOSITORY / "qwen3_chat").rglob("*.py"))
    if path.parent.name != "texts" and path.name != "error_codes.py"
]
ROW = re.compile(r"^\| `(?P<code>\w+)` \| (?P<when>[^|]+) \| (?P<status>1|2|130|–) \|$", re.MULTILINE)
ROWS = list(ROW.finditer(DOCUMENT.read_text("utf-8")))
TEXT_KEYS = {code.text_key for code in ErrorCode}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def members_in(tree: ast.AST) -> Iterator[ErrorCode]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="ErrorCode"), attr=name) if name in ErrorCode.__members__:
                yield ErrorCode[name]


def constructed_in(tree: ast.AST, class_name: str) -> Iterator[ErrorCode]:
    """The codes with which errors of that class are made, as far as the call spells them out."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[first, *_]) if name == class_name:
                yield from members_in(first)


def test_the_document_lists_each_code_once_in_the_order_of_the_declaration() -> None:
    assert [row["code"] for row in ROWS] == [code.value for code in ErrorCode]


def test_a_row_that_cannot_be_read_is_noticed() -> None:
    tables = DOCUMENT.read_text("utf-8").partition("\n## ")[2]  # after that of the outputs
    assert len(ROWS) == sum(line.startswith("| `") for line in tables.splitlines())


def test_no_code_is_ever_renamed_or_removed() -> None:
    assert sorted(ErrorCode) == PINNED_CODES.read_text("utf-8").split()


@pytest.mark.parametrize("code", ErrorCode)
def test_a_code_is_its_name_in_snake_case(code: ErrorCode) -> None:
    assert re.fullmatch(r"[a-z]+(?:_[a-z0-9]+)*", code.value)
    assert code.value == code.name.lower()


@pytest.mark.parametrize("language", Language)
def test_each_code_has_a_sentence_of_its_own_in_each_language(language: Language) -> None:
    texts = load_catalogue(language)
    assert [code for code in ErrorCode if not texts.get(code.text_key)] == []
    assert len(TEXT_KEYS) == len(ErrorCode)


def test_each_code_is_raised_somewhere() -> None:
    used = {code for path in SOURCES for code in members_in(tree_of(path))}
    assert sorted(set(ErrorCode) - used) == []


@pytest.mark.parametrize(("error", "status"), [(UsageError, "2"), (Cancelled, "130")])
def test_the_documented_exit_status_is_that_of_the_error(error: type[Exception], status: str) -> None:
    documented = {row["code"]: row["status"] for row in ROWS}
    codes = {code for path in SOURCES for code in constructed_in(tree_of(path), error.__name__)}
    assert codes
    assert {code: documented[code] for code in codes if documented[code] != status} == {}


def test_what_is_documented_as_cancelled_is_what_counts_as_cancelled() -> None:
    assert {row["code"] for row in ROWS if row["status"] == "130"} == CANCELLATION_CODES


def compared_strings(tree: ast.AST) -> Iterator[str]:
    """The strings that something is compared with: by an operator, by a `case`, or as a key of a table."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=others):
                compared: list[ast.expr] = [left, *others]
            case ast.MatchValue(value=value):
                compared = [value]
            case ast.Dict(keys=keys):
                compared = [key for key in keys if key is not None]
            case ast.Set(elts=elements):
                compared = list(elements)
            case _:
                continue
        for expression in compared:
            for inner in ast.walk(expression):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    yield inner.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_no_decision_about_an_error_is_made_by_the_key_of_its_sentence(path: Path) -> None:
    tree = tree_of(path)
    assert TEXT_KEYS.isdisjoint(compared_strings(tree))
    keys_decided_by = {
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for side in (node.left, *node.comparators)
        if isinstance(side, ast.Attribute) and side.attr == "text_key"
    }
    assert keys_decided_by <= {"code.text_key != key"}, "decisions match on the code itself"


@pytest.mark.parametrize(
    "decision",
    [
        'error.key == "engine.killed"',
        'error.key in ("engine.killed", "x")',
        'match key:\n    case "engine.killed" | "engine.busy":\n        pass',
        'DOWN = frozenset({"remote.busy"})',
    ],
)
def test_a_decision_by_a_key_would_be_seen(decision: str) -> None:
    assert not TEXT_KEYS.isdisjoint(compared_strings(ast.parse(decision)))


def test_an_error_keeps_its_code_and_values_on_the_way_between_the_processes() -> None:
    sent = EngineFailed.from_error(EngineError(ErrorCode.OUT_OF_MEMORY, reason="no room"))
    assert (sent.key, sent.code) == ("engine.out_of_memory", ErrorCode.OUT_OF_MEMORY)
    arrived = sent.to_error()
    assert (arrived.code, arrived.values) == (ErrorCode.OUT_OF_MEMORY, {"reason": "no room"})
    assert sent.text == str(arrived)


@pytest.mark.parametrize("code", sorted(CANCELLATION_CODES))
def test_a_cancellation_stays_one_on_the_way(code: ErrorCode) -> None:
    assert isinstance(EngineFailed.from_error(Cancelled(code)).to_error(), Cancelled)


def test_an_error_of_another_version_is_an_unexpected_failure_with_a_sentence() -> None:
    event = EngineFailed("engine.of_tomorrow", {"reason": "?"})
    assert event.code is ErrorCode.UNEXPECTED_FAILURE
    assert "engine.of_tomorrow" in event.text


@pytest.mark.parametrize(
    "value", ["x" * 9_000, ValueError("x" * 9_000), Path("x" * 9_000)], ids=["text", "error", "path"]
)
def test_a_sentence_quotes_no_more_than_a_few_lines_of_what_is_not_ours(value: object) -> None:
    error = EngineError(ErrorCode.CHAT_TEMPLATE_FAILED, reason=value)
    for told in (error, EngineFailed.from_error(error).to_error()):
        assert len(str(told)) < MAX_QUOTE_CHARACTERS + 100
        assert str(told).endswith("x" * 99)
