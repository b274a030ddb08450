from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from public_names import NameKind, PublicName, is_property, modules_of, public_names
from tests.conftest import REPOSITORY

NAMES = public_names()
MODULES = dict(modules_of())

REPLACED_WORDS = {
    "ahead": "prefetch",
    "aside": "set_aside",
    "asked": "the noun: question, request",
    "cabinet": "KVSnapshotStore",
    "cell layout": "kv_layout",
    "desk": "ModelPicker, CommandLoop",
    "elsewhere": "external_models",
    "found": "the noun: matches, hits, candidates",
    "guess": "draft (prompt lookup)",
    "guesses": "prompt lookup",
    "guessing": "prompt lookup",
    "happened": "EventEmitted",
    "hoist": "set",
    "hoisted": "is_set",
    "is up": "is_set, is_reachable",
    "keeping": "persistence",
    "kept": "the noun: stored, settings_store",
    "ladder": "load_fallback",
    "lay": "layout",
    "lays": "layout",
    "least": "min",
    "leave out": "drop",
    "left out": "dropped",
    "linear": "plain_chat",
    "look": "probe, fetch_metadata",
    "looking": "probing",
    "looks": "probe, fetch_metadata",
    "made": "the noun: engine, plan",
    "most": "max",
    "narrator": "LineRenderer",
    "origin": "fingerprint",
    "pace": "throughput",
    "patience": "RetryPolicy",
    "place": "location, index, scroll_to",
    "places": "model_dirs",
    "rested": "Idle",
    "rests": "WaitIdle",
    "shelf": "ModelPicker",
    "telling": "notify_errors",
    "toggle": "mode_override",
    "told": "the noun: notified",
    "trouble": "LoadFailure",
    "unfinished": "PartialDownload",
    "wanted": "target",
}
"""Words that a reader cannot guess, with the field's own; two words are two neighbours in a name."""

REPLACED_NAMES = {
    NameKind.MODULE: {"answers", "entries", "figures", "kinds", "leaving", "motion", "wording"},
    NameKind.CLASS: {
        "Call", "Column", "Counted", "Entry", "Fitting", "Label", "Listed", "Noticed", "Page", "Reply",
        "Rest", "Tried", "Turn",
    },
    NameKind.FUNCTION: {"of"},
    NameKind.PARAMETER: {"it", "one", "ones", "what"},
    NameKind.FIELD: {"it", "one", "ones", "what"},
}  # fmt: skip
"""Names that say too little only when they are the whole name: `Page` of a transcript, but not `page_up`."""

REPLACED_IN = {
    "variant": (
        r"session|store|transcript|ui\.(?!model_list|screens\.model_picker)",
        "version (of a message)",
    ),
    "variants": (
        r"session|store|transcript|ui\.(?!model_list|screens\.model_picker)",
        "versions (of a message)",
    ),
    "turn": (r"transcript", "MessageView"),
    "column": (r"transcript\.transcript_layout", "TranscriptLayout"),
}
"""Words that some modules use rightly, with a pattern of the modules that may not."""

ALLOWED_NAMES = {
    "models.hub.downloader:DownloadObserver.on_source_asked": "follows the event of that name",
    "models.hub.pull_progress:SourceAsked": "`pull --json` prints it as `source_asked`",
    "models.library.installed_models:Origin": "plain English: the program that a model file belongs to",
    "models.library.installed_models:InstalledModel.origin": "the same",
    "models.library.installed_models:read_models(origin)": "the same",
    "request:ChatRequest.guesses": "on the wire to the worker",
    "session.turn_events:ContextExceeded.to_leave_out": "`ask --jsonl` prints it",
    "store.message_queries:index_unfinished": "plain English: messages that a crash left unfinished",
    "store.records:MessageMeta.left_out": "in the database, with every reply",
    "ui.screens.chat_screen:ChatScreen.action_toggle_mode": "the key's name in the settings file",
    "ui.model_list:origin_line": "as in `Origin`",
    "ui.widgets.transcript:Transcript.toggle_all_thinking": "plain English: fold or unfold",
    "ui.widgets.transcript:Transcript.toggle_thinking": "plain English: fold or unfold",
}
"""Names with a replaced word, each with the reason why it stays."""

NAMES_IN_SEVERAL_MODULES = {
    "main": "the entry point of two programs, the command and the worker",
    "TEXTS": "one catalogue for each language",
}

FILES_OF_ONE_NAME = {
    "__init__": "Python's",
    "__main__": "Python's: the command and the worker are programs",
    "transcript": "the widget `Transcript` shows what the package `transcript` lays out",
}

SMALL_MODULES = {
    "qwen3_chat.__main__": "`python -m qwen3_chat` runs the file of this name",
    "qwen3_chat.mcp.server_process.__main__": "silences this process before the SDK is imported",
    "qwen3_chat.cli.language": "imports the settings, for which `--version` must not wait",
    "qwen3_chat.cli.rm_command": "imported alone, without what downloads and engines bring along",
}
"""Modules of fewer than 40 lines with at most one importer, each with the reason why it stands alone."""

RIDDLE = re.compile(
    r"(What|How|Whether|Who|Whose|Which|When|Where|Why|Tell whether|Say what|Know|Look into)\b"
)
NO_IMPERATIVE = re.compile(r"(An?|The|Its?|This|These|They|There|Same|Returns|Gives|Makes)\b")


def where(name: PublicName) -> str:
    return name.where.removeprefix("qwen3_chat.")


def replaced_word(name: PublicName) -> str | None:
    """The word of the old dialect in a name, with the one to use."""
    words = f" {' '.join(name.words)} ".replace(" not found ", " ")  # plain English, as in CHAT_NOT_FOUND
    for word, better in REPLACED_WORDS.items():
        if f" {word} " in words:
            return f"{where(name)}: {word} -> {better}"
    for word, (modules, better) in REPLACED_IN.items():
        if f" {word} " in words and re.match(modules, where(name)):
            return f"{where(name)}: {word} -> {better}"
    return where(name) if name.name in REPLACED_NAMES.get(name.kind, ()) else None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("models.shelf", NameKind.MODULE),
        ("engine.worker.desk:Desk", NameKind.CLASS),
        ("hub:find_wanted", NameKind.FUNCTION),
        ("chat:Engine.of", NameKind.FUNCTION),
        ("config:MOST_BYTES", NameKind.CONSTANT),
        ("engine.remote:probe(told)", NameKind.PARAMETER),
        ("engine.worker:Flag.is_up", NameKind.PROPERTY),
        ("session.versions:variant_count", NameKind.FUNCTION),
        ("transcript.column:Page", NameKind.CLASS),
    ],
)
def test_a_replaced_word_is_seen_wherever_it_stands(name: str, kind: NameKind) -> None:
    assert replaced_word(PublicName(f"qwen3_chat.{name}", kind))


@pytest.mark.parametrize(
    "name",
    [
        "ui:ReadingScreen.action_page_up",
        "models.picker:ModelVariant",
        "engine:layout",
        "store:mostly",
        "error_codes:CHAT_NOT_FOUND",
    ],
)
def test_a_word_in_another_word_or_meaning_is_not(name: str) -> None:
    assert replaced_word(PublicName(f"qwen3_chat.{name}", NameKind.FUNCTION)) is None


def test_no_public_name_uses_a_word_that_the_glossary_replaced() -> None:
    offending = [text for name in NAMES if (text := replaced_word(name)) and where(name) not in ALLOWED_NAMES]
    assert offending == []


def test_each_allowed_name_is_still_there() -> None:
    needed = {where(name) for name in NAMES if replaced_word(name)}
    assert sorted(ALLOWED_NAMES.keys() - needed) == []


def test_no_public_name_stands_in_two_modules() -> None:
    modules: dict[str, set[str]] = defaultdict(set)
    for name in NAMES:
        if name.is_top_level:
            modules[name.name].add(name.module)
    twice = {name: sorted(places) for name, places in modules.items() if len(places) > 1}
    assert {name: places for name, places in twice.items() if name not in NAMES_IN_SEVERAL_MODULES} == {}
    assert sorted(NAMES_IN_SEVERAL_MODULES.keys() - twice.keys()) == []


def test_no_file_name_stands_in_two_folders() -> None:
    stems = [path.stem for path in MODULES.values()]
    packages = {path.parent.name for path in MODULES.values() if path.stem == "__init__"}
    counts = Counter([*stems, *packages])
    several = {name for name, count in counts.items() if count > 1}
    assert several == set(FILES_OF_ONE_NAME)


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """Each docstring with its line, and whether it is that of a function that is called."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                if text := ast.get_docstring(node):
                    yield node.lineno, text, not is_property(node)
            case ast.Module() | ast.ClassDef():
                if text := ast.get_docstring(node):
                    yield node.body[0].lineno, text, False
            case _:
                pass
        body = node.body if isinstance(node, ast.Module | ast.ClassDef) else []
        for statement, following in pairwise(body):
            match statement, following:
                case ((ast.Assign() | ast.AnnAssign()), ast.Expr(value=ast.Constant(value=str(text)))):
                    yield following.lineno, text, False


@pytest.mark.parametrize("module", MODULES)
def test_a_docstring_is_no_riddle(module: str) -> None:
    offending = [
        f"{MODULES[module].relative_to(REPOSITORY)}:{line}: {text.partition(chr(10))[0]}"
        for line, text, is_called in docstrings(ast.parse(MODULES[module].read_text("utf-8")))
        if RIDDLE.match(text) or (is_called and NO_IMPERATIVE.match(text))
    ]
    assert offending == []


@cache
def names_from_below(package: str) -> dict[str, str]:
    """The names that a package passes on, each with the module that it comes from."""
    path = MODULES[package]
    if path.name != "__init__.py":
        return {}
    tree = ast.parse(path.read_text("utf-8"))
    return {
        alias.asname or alias.name: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module in MODULES
        for alias in node.names
    }


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name in MODULES)
            case ast.ImportFrom(module=str(module), level=0) if module in MODULES:
                passed_on = names_from_below(module) if path != MODULES[module] else {}
                for alias in node.names:
                    full = f"{module}.{alias.name}"
                    yield full if full in MODULES else passed_on.get(alias.name, module)


def test_a_small_module_with_one_importer_says_why_it_stands_alone() -> None:
    importers: dict[str, set[str]] = defaultdict(set)
    for module, path in MODULES.items():
        for imported in imported_modules(path):
            importers[imported].add(module)
    alone = {
        module: path
        for module, path in MODULES.items()
        if path.name != "__init__.py" and len(importers[module] - {module.rpartition(".")[0]}) <= 1
    }
    small = {module for module, path in alone.items() if len(path.read_text("utf-8").splitlines()) < 40}
    assert sorted(small - SMALL_MODULES.keys()) == []
    assert sorted(SMALL_MODULES.keys() - alone.keys()) == []
