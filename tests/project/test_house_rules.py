from __future__ import annotations

import ast
import re
import string
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from qwen3_chat.texts import Language, load_catalogue
from tests.conftest import REPOSITORY

LONGEST_LINES = 600
PACKAGE = sorted((REPOSITORY / "qwen3_chat").rglob("*.py"))
SCRIPTS = [
    path
    for path in sorted((REPOSITORY / "scripts").rglob("*"))
    if path.suffix in ("", ".py") and path.is_file()
]
CATALOGUES = {language: REPOSITORY / "qwen3_chat" / "texts" / f"{language.value}.py" for language in Language}
SOURCES = [path for path in PACKAGE + SCRIPTS if path not in CATALOGUES.values()]

# calls whose first argument, or `key`, names a text; every error of the tree takes one too
KEYED_CALLS = re.compile(r"^(t|_text|_print_text|Notice|EngineFailed|\w+Error|EngineDied|Cancelled)$")

# Python before 3.11.5 matches too little with a possessive or atomic group (python/cpython#106052)
POSSESSIVE_GROUP = re.compile(r"(?<!\\)\)(?:[*+?]|\{[\d,]+\})\+|\(\?>")

BEGINNING = re.compile(r"[a-z]+(?:\.[a-z_]+)*\.$")

# spelled in pieces, so that this file passes its own test
LOCAL_PATH = re.compile(r"(?<![\w.])/(?:wo" r"rk|ro" r"ot|ho" r"me|Us" r"ers)/\w|[A-Z]:\\Us" r"ers\\")
LOCAL_HOST = re.compile(r"https?://[\w.-]+\.(?:inter" r"nal|corp|lan|intranet)\b")


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


@pytest.mark.parametrize("path", PACKAGE + SCRIPTS, ids=name_of)
def test_a_module_says_what_it_is_in_its_first_line(path: Path) -> None:
    first = (ast.get_docstring(tree_of(path)) or "").partition("\n")[0]
    assert first.endswith((".", "。", "?", "`."))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_is_short_enough_to_read(path: Path) -> None:
    n_lines = len(path.read_text("utf-8").splitlines())
    assert n_lines <= LONGEST_LINES


@pytest.mark.parametrize("path", PACKAGE + SCRIPTS, ids=name_of)
def test_no_pattern_needs_what_early_python_3_11_gets_wrong(path: Path) -> None:
    patterns = [
        part.value
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re.")
        for argument in node.args[:1]
        for part in ast.walk(argument)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    assert [pattern for pattern in patterns if POSSESSIVE_GROUP.search(pattern)] == []


def imported_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]


def test_every_library_that_the_package_imports_is_declared() -> None:
    pyproject = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    declared = {
        re.split(r"[^\w.-]", text)[0].lower().replace("-", "_")
        for text in (
            *pyproject["project"]["dependencies"],
            *pyproject["project"]["optional-dependencies"]["fast-cpu"],
            *pyproject["project"]["optional-dependencies"]["web"],
        )
    }
    imported = {name for path in PACKAGE for name in imported_names(tree_of(path))}
    foreign = imported - sys.stdlib_module_names - {"qwen3_chat"}
    providers = {"ik_llama_cpp": ["ik-llama-cpp-python"], **packages_distributions()}  # that may be missing
    providing = {
        name.lower().replace("-", "_") for module in foreign for name in providers.get(module, [module])
    }
    assert sorted(providing - declared) == []


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", [language for language in Language if language is not Language.EN])
def test_each_language_has_the_same_texts_with_the_same_places(language: Language) -> None:
    english, other = load_catalogue(Language.EN), load_catalogue(language)
    assert sorted(other) == sorted(english)
    assert {key: places(other[key]) for key in english} == {key: places(english[key]) for key in english}


def test_a_key_stands_once_in_a_catalogue() -> None:
    for path in CATALOGUES.values():
        (assignment,) = (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Dict))
        keys = [key.value for key in assignment.keys if isinstance(key, ast.Constant)]
        assert sorted({key for key in keys if keys.count(key) > 1}, key=str) == []


def keyed_arguments(tree: ast.Module) -> Iterator[ast.expr]:
    """The expressions that name a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = (
                called.id
                if isinstance(called, ast.Name)
                else called.attr
                if isinstance(called, ast.Attribute)
                else ""
            )
            if KEYED_CALLS.match(name):
                yield from node.args[:1]
                yield from (keyword.value for keyword in node.keywords if keyword.arg == "key")


def texts_of(expression: ast.expr) -> Iterator[str]:
    """The strings that an expression can be, as far as it spells them out."""
    match expression:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from texts_of(body)
            yield from texts_of(orelse)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_text_that_is_asked_for_exists(path: Path) -> None:
    known = load_catalogue(Language.EN)
    groups = {key.partition(".")[0] for key in known}
    asked = {text for argument in keyed_arguments(tree_of(path)) for text in texts_of(argument)}
    keys = {text for text in asked if text.partition(".")[0] in groups and " " not in text}
    assert sorted(keys - known.keys()) == []


def test_no_text_is_left_over() -> None:
    spelled: set[str] = set()
    beginnings: set[str] = set()  # of keys that are put together: t(f"ui.mode.{mode}"), LABEL = "ui.key."
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            match node:
                case ast.Constant(value=str(text)):
                    spelled.add(text)
                    if BEGINNING.match(text):
                        beginnings.add(text)
                case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]) if "." in text:
                    beginnings.add(text)
    unused = {
        key
        for key in load_catalogue(Language.EN)
        if key not in spelled and not key.startswith(tuple(beginnings))
    }
    assert sorted(unused) == []


def committed_texts() -> Iterator[tuple[Path, str]]:
    """Every text file that git knows, or, outside a clone, every source."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    names = [name for name in listing.stdout.split("\0") if name]
    for path in [REPOSITORY / name for name in names] if listing.returncode == 0 else SOURCES:
        try:
            yield path, path.read_text("utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # a binary file, or one that is deleted but not yet committed


def test_no_file_names_a_folder_or_host_of_one_machine() -> None:
    found = {
        f"{name_of(path)}: {match[0]}"
        for path, text in committed_texts()
        for pattern in (LOCAL_PATH, LOCAL_HOST)
        for match in pattern.finditer(text)
    }
    assert sorted(found) == []
