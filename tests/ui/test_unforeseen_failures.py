"""What the app does about failures that nobody foresaw: the log, the notice, and the last sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.timer import Timer
from textual.worker import WorkerFailed

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError
from qwen3_chat.texts import Language, set_language
from tests.harness import Harness, Start

SECRET = "tulips marzipan"


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "interface.log"


def fail(*_: object, **__: object) -> Any:
    raise KeyError(SECRET)


def content(log_path: Path) -> str:
    return log_path.read_text() if log_path.exists() else ""


def notices(app: Harness) -> list[str]:
    return [notice.message for notice in app.app._notifications]


async def notice_of_failed_export(app: Harness, monkeypatch: pytest.MonkeyPatch) -> str:
    """The notice after an export that failed because of a bug."""
    monkeypatch.setattr("qwen3_chat.documents.export.export_to_folder", fail)
    await app.turn("Hello")
    await app.pilot.press("ctrl+s", "enter")
    await app.until(lambda: notices(app))
    return notices(app)[-1]


async def test_the_notice_of_a_bug_names_what_failed_and_the_log(
    start: Start, monkeypatch: pytest.MonkeyPatch, log_path: Path
) -> None:
    async with start() as app:
        assert await notice_of_failed_export(app, monkeypatch) == (
            f"Exporting the chat failed with an unexpected error (KeyError); {log_path} shows where."
        )
        await app.turn("The app goes on")
    text = content(log_path)
    assert "in ChatController.export" in text
    assert "E KeyError" in text
    assert "tulips" not in text


async def test_the_notice_speaks_the_users_language(
    start: Start, monkeypatch: pytest.MonkeyPatch, log_path: Path
) -> None:
    set_language(Language.ZH)
    try:
        async with start() as app:
            notice = await notice_of_failed_export(app, monkeypatch)
    finally:
        set_language(Language.EN)
    assert notice == f"导出对话时出现意外错误（KeyError），出错位置见 {log_path}。"


async def test_a_log_that_cannot_be_written_is_not_named(
    start: Start, monkeypatch: pytest.MonkeyPatch, log_path: Path
) -> None:
    log_path.parent.write_text("a file where the folder would be")
    async with start() as app:
        assert await notice_of_failed_export(app, monkeypatch) == (
            "Exporting the chat failed with an unexpected error (KeyError)."
        )


async def test_an_error_that_was_foreseen_is_not_logged(
    start: Start, monkeypatch: pytest.MonkeyPatch, log_path: Path
) -> None:
    async def refuse(*_: object) -> None:
        raise StoreError(ErrorCode.CHAT_NOT_FOUND, chat_id=1)

    async with start() as app:
        monkeypatch.setattr(app.screen.versions, "reread", refuse)
        await app.turn("Hello")
        await app.until(lambda: notices(app))
    assert content(log_path) == ""


async def test_a_worker_that_must_not_end_the_app_is_not_dropped_silently(
    start: Start, log_path: Path
) -> None:
    async def work() -> None:
        fail()

    async with start() as app:
        app.screen.run_worker(work(), exit_on_error=False)
        await app.until(lambda: notices(app))
        assert notices(app)[-1].startswith("Something in the app failed with an unexpected error (KeyError)")
        await app.turn("The app goes on")
    assert "E KeyError" in content(log_path)


def fail_in_a_timer(app: Harness) -> Timer:
    return app.screen.set_timer(0.001, fail)


def fail_in_a_callback(app: Harness) -> bool:
    return app.screen.call_later(fail)


def fail_in_a_worker(app: Harness) -> object:
    async def work() -> None:
        fail()

    return app.screen.run_worker(work())


@pytest.mark.parametrize("start_failing", [fail_in_a_timer, fail_in_a_callback, fail_in_a_worker])
async def test_what_ends_the_app_is_in_the_log_and_one_sentence_on_the_terminal(
    start: Start, log_path: Path, start_failing: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    async def run() -> None:
        async with start() as app:
            app.screen.input.text = SECRET
            start_failing(app)
            await app.until(lambda: app.app.return_code == 1)

    with pytest.raises((KeyError, WorkerFailed)):
        await run()
    assert capfd.readouterr().err == (
        f"The app failed with an unexpected error (KeyError); {log_path} shows where.\n"
    )
    text = content(log_path)
    assert "E KeyError" in text
    assert "in fail" in text
    assert "tulips" not in text
