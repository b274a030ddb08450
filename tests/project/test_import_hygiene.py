from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

INTERFACE = ("textual", "qwen3_chat.ui")
MODEL_CHOICE = ("qwen3_chat.models.hub", "qwen3_chat.models.picker", "qwen3_chat.models.hardware")
DOCUMENT_LIBRARIES = ("pypdf", "bs4", "markdownify", "markdown_it", "pygments", "pylatexenc")
SERVER_LIBRARIES = ("keyring", "qwen3_chat.engine.remote", "http.client", "urllib.request")
HUB_LIBRARIES = ("huggingface_hub", "httpx2", "filelock")
WORKER = ("llama_cpp", "ik_llama_cpp", "qwen3_chat.engine.worker", "numpy")
"""Only the engine's own process loads llama.cpp."""

LIBRARIES = (*DOCUMENT_LIBRARIES, *SERVER_LIBRARIES, *HUB_LIBRARIES, "pynvml", "tomlkit", "jinja2")
"""Libraries that only some actions need."""

LOADING = (
    *("qwen3_chat.engine.load_planner", "qwen3_chat.engine.library_router", "qwen3_chat.models.fit"),
    *("qwen3_chat.engine.warm_holder", "psutil", "email", "importlib.metadata"),
)
"""Needed to plan a load, or to find out versions: while the engine starts, or never, if it is warm."""

LATER_SCREENS = tuple(
    f"qwen3_chat.ui.screens.{path.stem}"
    for path in (REPOSITORY / "qwen3_chat/ui/screens").glob("*.py")
    if path.stem not in ("__init__", "chat_screen", "reading_screen", "dialog")
)
"""The screens that a key opens, each loaded then."""

NOT_AT_FIRST = (
    *(
        "qwen3_chat.plain_chat",
        "qwen3_chat.comparison",
        "qwen3_chat.maths",
        "qwen3_chat.jail",
        "qwen3_chat.web",
    ),
    *("qwen3_chat.documents.export", "qwen3_chat.documents.chat_import", "qwen3_chat.config.prompt_library"),
    "qwen3_chat.transcript.code_extraction",
)
"""Parts of the package that nobody needs before the first key."""

NOT_IN_A_BARE_QUESTION = (
    *(
        "qwen3_chat.cli.answer_schema",
        "qwen3_chat.cli.prompt_templates",
        "qwen3_chat.plain_chat.consent_lines",
    ),
    *("qwen3_chat.mcp.server_messages", "qwen3_chat.mcp.forms"),
)
"""What only options of `ask` need, or a person who can be asked."""

EVERYTHING_HEAVY = (*INTERFACE, *MODEL_CHOICE, *LIBRARIES, *WORKER)


def loaded_modules(code: str, home: Path, environ: dict[str, str] | None = None) -> set[str]:
    """Run code in a process of its own; return what it had loaded at its end."""
    report = (
        f"import sys\ntry:\n    {code}\n"
        "finally:\n    sys.__stderr__.write('LOADED ' + ' '.join(sys.modules))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", report],
        cwd=REPOSITORY,
        env={**os.environ, "QWEN3_CHAT_HOME": str(home), **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    _, mark, names = run.stderr.rpartition("LOADED ")
    assert mark, run.stderr
    return set(names.split())


def loaded_by_command(arguments: Sequence[str], home: Path, **environ: str) -> set[str]:
    return loaded_modules(f"from qwen3_chat.cli import run; run({list(arguments)!r})", home, environ)


def below(modules: set[str], names: Sequence[str]) -> list[str]:
    """The modules that are one of these, or inside one."""
    return sorted(module for module in modules if any(f"{module}.".startswith(f"{name}.") for name in names))


def test_the_version_is_answered_before_anything_else_is_imported(tmp_path: Path) -> None:
    modules = loaded_by_command(["--version"], tmp_path)
    assert below(modules, ["qwen3_chat"]) == [
        "qwen3_chat",
        "qwen3_chat.cli",
        "qwen3_chat.cli.standard_streams",
    ]
    assert below(modules, ["typer", "asyncio", "msgspec"]) == []


def test_the_help_loads_neither_session_nor_engine(tmp_path: Path) -> None:
    modules = loaded_by_command(["--help"], tmp_path)
    assert "qwen3_chat.cli.commands" in modules
    unwanted = ["qwen3_chat.session", "qwen3_chat.store", "qwen3_chat.engine", "asyncio", "sqlite3"]
    assert below(modules, [*EVERYTHING_HEAVY, *unwanted]) == []


def test_removing_a_model_loads_neither_session_nor_engine(tmp_path: Path) -> None:
    modules = loaded_by_command(["rm", "no-such-model"], tmp_path)
    assert "qwen3_chat.models.library" in modules
    unwanted = ["qwen3_chat.session", "qwen3_chat.store", "qwen3_chat.engine", "asyncio", "sqlite3", "psutil"]
    assert below(modules, [*EVERYTHING_HEAVY, *unwanted]) == []


# `--chat last` fails where there is no chat: by then the engine, the store and the session are made


def test_a_question_loads_no_interface_no_hub_and_no_probe_of_the_hardware(tmp_path: Path) -> None:
    modules = loaded_by_command(["ask", "--chat", "last", "Hello"], tmp_path)
    assert {"qwen3_chat.engine.local_engine", "qwen3_chat.session"} <= modules
    assert below(modules, [*EVERYTHING_HEAVY, *LOADING, *NOT_IN_A_BARE_QUESTION]) == []


def test_a_question_to_a_server_loads_no_local_engine(tmp_path: Path) -> None:
    server = ["--endpoint", "http://127.0.0.1:9"]
    modules = loaded_by_command(["ask", *server, "--chat", "last", "Hello"], tmp_path)
    assert "qwen3_chat.engine.remote" in modules
    unwanted = [*INTERFACE, *MODEL_CHOICE, *DOCUMENT_LIBRARIES, *WORKER, "qwen3_chat.engine.local_engine"]
    assert below(modules, unwanted) == []


def test_the_plain_chat_loads_nothing_of_the_interface(tmp_path: Path) -> None:
    modules = loaded_by_command(["--chat", "last"], tmp_path, ACCESSIBLE="1")
    assert {"qwen3_chat.engine.local_engine", "qwen3_chat.plain_chat.chat_loop"} <= modules
    assert below(modules, EVERYTHING_HEAVY) == []


def test_the_terminal_application_starts_without_what_only_some_actions_need(tmp_path: Path) -> None:
    modules = loaded_modules("import qwen3_chat.cli.run_tui", tmp_path)
    assert "textual.app" in modules
    assert below(modules, [*LIBRARIES, *WORKER, *MODEL_CHOICE, *LOADING]) == []
    assert below(modules, [*LATER_SCREENS, *NOT_AT_FIRST]) == []


def test_the_terminal_application_starts_without_making_dataclasses(tmp_path: Path) -> None:
    # Each takes half a millisecond: `dataclasses` writes methods as text and compiles them at every start.
    code = "\n    ".join(
        (
            "import dataclasses, sys, qwen3_chat.cli.commands, qwen3_chat.cli.run_tui",
            "modules = [m for name, m in sys.modules.items() if name.startswith('qwen3_chat')]",
            "classes = [c for m in modules for c in vars(m).values() if isinstance(c, type)]",
            "classes += [c for outer in classes for c in vars(outer).values() if isinstance(c, type)]",
            "ours = {c for c in classes if c.__module__.startswith('qwen3_chat')}",
            "made = {c.__qualname__ for c in ours if dataclasses.is_dataclass(c)}",
            "sys.modules.update((f'dataclass.{name}', sys) for name in made)",
        )
    )
    assert below(loaded_modules(code, tmp_path), ["dataclass"]) == []


def test_the_process_of_the_interface_runs_no_lexer(tmp_path: Path) -> None:
    code = "\n    ".join(
        (
            "from qwen3_chat.ui.widgets.transcript import Transcript",
            "from qwen3_chat.transcript.markdown_section import MarkdownSection",
            "section = MarkdownSection(80, 0)",
            "section.feed('```python\\nx = 1\\n```')",
            "section.code_blocks[0].row_spans(0)",
        )
    )
    modules = loaded_modules(code, tmp_path)
    assert "qwen3_chat.transcript.markdown_section" in modules
    assert below(modules, ["pygments"]) == []


@pytest.mark.parametrize("module", ["qwen3_chat.plain_chat.chat_loop", "qwen3_chat.documents.export"])
def test_a_package_of_documents_or_lines_loads_no_renderer_at_import(module: str, tmp_path: Path) -> None:
    assert below(loaded_modules(f"import {module}", tmp_path), [*INTERFACE, *DOCUMENT_LIBRARIES]) == []
