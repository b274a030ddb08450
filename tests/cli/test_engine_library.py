"""The name of the native library that ran the model, as users and scripts see it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.cli.engine_composition import make_engine
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.cli.warm_option import choose_warm_engine
from qwen3_chat.config import Settings, find_paths
from qwen3_chat.record_copies import replace
from qwen3_chat.request import LLAMA_CPP_NAME
from qwen3_chat.ui.widgets.status_bar import Status, status_parts
from tests.conftest import WAIT_LIMIT_S
from tests.e2e.conftest import Program, program
from tests.fakes import MODEL

__all__ = ["program"]


def test_ask_tells_which_library_ran(program: Program) -> None:
    done = subprocess.run(
        [*program.command, "ask", "--demo", "--json", "--max-tokens", "2", "Hello"],
        stdin=subprocess.DEVNULL,
        env=program.environment,
        capture_output=True,
        text=True,
        timeout=WAIT_LIMIT_S,
        check=True,
    )
    assert json.loads(done.stdout)["engine_library"] == LLAMA_CPP_NAME


@pytest.mark.parametrize(
    ("library", "is_shown"), [("", False), (LLAMA_CPP_NAME, False), ("ik_llama.cpp", True)]
)
def test_the_status_line_tells_of_a_library_that_is_not_the_usual_one(library: str, is_shown: bool) -> None:
    parts = status_parts(Status(ThinkingMode.THINK, replace(MODEL, library=library)))
    assert ("ik_llama.cpp" in parts) is is_shown


def test_one_question_loads_its_model_quickly_and_a_chat_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bool] = []

    class Engine:
        def __init__(self, *_: object, is_one_shot: bool = False, **__: object) -> None:
            made.append(is_one_shot)

    monkeypatch.setattr("qwen3_chat.engine.local_engine.LocalEngine", Engine)
    monkeypatch.setenv("QWEN3_CHAT_HOME", str(tmp_path))
    settings, paths = Settings(), find_paths()
    for warm in (choose_warm_engine(None, 0, paths), choose_warm_engine(5, 0, paths), None):
        make_engine(ModelChoice(demo=True), settings, paths, warm)
    assert made == [True, False, False]
