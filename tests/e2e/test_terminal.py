from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import Program
from tests.e2e.terminal import opened

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")


def test_the_first_start_says_what_runs_what_to_try_and_how_to_get_a_real_model(
    program: Program, tmp_path: Path
) -> None:
    with opened(program, tmp_path) as terminal:
        terminal.wait_for("This is the demo model", "strawberries", "Best answers")
        terminal.wait_for("F7, then Enter, downloads the first", "Thinking on")
        terminal.press("F7")
        terminal.wait_for("Recommended for this machine", "★", "▶ Demo model", "Enter downloads")
        terminal.press("Escape")
        terminal.wait_for("Thinking on")
        terminal.press("C-q")
        terminal.wait_for("left with 0")


def test_a_chat_goes_on_with_another_model(program: Program, tmp_path: Path, demo_gguf: Path) -> None:
    models = tmp_path / "home" / "models"
    models.mkdir(parents=True)
    shutil.copy(demo_gguf, models / "Qwen3-0.6B-Q8_0.gguf")
    with opened(program, tmp_path, "--demo") as terminal:
        terminal.wait_for("context 0/4096")
        terminal.type("How many r's in strawberries?")
        terminal.press("Enter")
        terminal.wait_for_answer("▸ Thought")
        terminal.press("F7")
        terminal.wait_for("On this disk", "0.6B")
        terminal.type("0.6b q8")
        terminal.wait_for("Installed (qwen3-chat)")
        terminal.press("Enter")
        terminal.wait_for("▌ You")
        terminal.press("F7")
        terminal.wait_for("▶ 0.6B")
        terminal.press("Escape")
        terminal.wait_for("▌ You")
        terminal.type("Then, how many r's in blueberries? /no_think")
        terminal.press("Enter")
        terminal.wait_for_reply_to("Then")


def test_three_turns_in_english_then_leaving_and_coming_back(program: Program, tmp_path: Path) -> None:
    with opened(program, tmp_path, "--demo") as terminal:
        terminal.wait_for("context 0/")
        terminal.type("How many r's in strawberries?")
        terminal.press("Enter")
        terminal.wait_for_answer("▸ Thought")
        terminal.type("Then, how many r's in blueberries? /no_think")
        terminal.press("Enter")
        terminal.wait_for("Thinking off")
        terminal.wait_for_reply_to("Then")
        terminal.type("Really? /think")
        terminal.press("Enter")
        terminal.until(
            lambda screen: "▸ Thought" in screen.rpartition("▌ Really?")[2] and "▌ Really?" in screen
        )
        terminal.press("C-q")
        terminal.wait_for("left with 0")
    with opened(program, tmp_path, "--demo", "--chat", "last") as terminal:
        terminal.wait_for("Really? /think", "▸ Thought")
        terminal.press("C-o")
        terminal.wait_for("▾ Thought")


def test_three_turns_in_chinese(program_zh: Program, tmp_path: Path) -> None:
    with opened(program_zh, tmp_path, "--demo") as terminal:
        terminal.wait_for("欢迎使用", "思考：开")
        terminal.type("strawberries里有几个字母r？")
        terminal.press("Enter")
        terminal.wait_for_answer("▸ 思考了")
        terminal.type("那blueberries里有几个r？ /no_think")
        terminal.press("Enter")
        terminal.wait_for("思考：关")
        terminal.wait_for_reply_to("那")
        terminal.press("C-t")
        terminal.wait_for("思考：开")
        terminal.type("真的吗？")
        terminal.press("Enter")
        terminal.wait_for("你 · /think", "真的吗？")


def test_a_broken_model_file_is_an_error_on_screen_and_the_app_stays(
    program: Program, tmp_path: Path
) -> None:
    with opened(program, tmp_path, "--gguf", "README.md") as terminal:
        terminal.wait_for("README.md is not a GGUF file")
        terminal.press("F1")
        terminal.wait_for("Help", "Switch thinking on or off")


def test_the_export_key_shows_where_the_file_is(program: Program, tmp_path: Path) -> None:
    with opened(program, tmp_path, "--demo", size=(120, 40)) as terminal:
        terminal.wait_for("context 0/")
        terminal.type("Hello")
        terminal.press("Enter")
        terminal.wait_for_answer("▸ Thought")
        terminal.press("C-s")
        terminal.wait_for("Export as")
        terminal.press("Enter")
        terminal.wait_for_notice("Exported to")
    (path,) = (tmp_path / "home" / "exports").iterdir()  # named for the question, or by the model already
    assert path.suffix == ".md"
    assert "Hello" in path.read_text("utf-8")


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (200, 60)])
def test_every_size_shows_input_and_state(program: Program, tmp_path: Path, size: tuple[int, int]) -> None:
    with opened(program, tmp_path, "--demo", size=size) as terminal:
        screen = terminal.wait_for("Ask anything", "Qwen3-chat demo", "Thinking on")
        rows = screen.splitlines()
        assert len(rows) == size[1]
        assert max(len(row) for row in rows) <= size[0]
