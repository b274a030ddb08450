"""Colours from a process of its own, which is killed at its limits."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from qwen3_chat.child_process import ChildProcess
from qwen3_chat.highlighting import highlighter as highlighter_module
from qwen3_chat.highlighting.highlighted_code import HighlightedCode
from qwen3_chat.highlighting.highlighter import Highlighter, StoredColours
from qwen3_chat.highlighting.limits import (
    MAX_CHARACTERS,
    MAX_FAILED_BLOCKS,
    MAX_STORED_SPANS,
    WALL_LIMIT_S,
)
from tests.conftest import WAIT_LIMIT_S

ENDLESS_LANGUAGE, ENDLESS_ROW = "autoit", " " * 30_000
"""A block that Pygments would colour for hours: a pattern of it tries each way to divide the spaces."""

STRING_END = ((0, 1, "string"), (1, 4, "string"))
"""The colours of a row that ends a string of Python; it is coloured otherwise where none is open."""


@pytest.fixture
async def highlighter(tmp_path: Path) -> AsyncIterator[Highlighter]:
    async with Highlighter(tmp_path / "interface.log") as client:
        yield client


def block(language: str, *rows: str, is_complete: bool = True) -> HighlightedCode:
    code = HighlightedCode(language)
    code.rows += rows
    code.is_complete = is_complete
    return code


async def coloured(client: Highlighter, code: HighlightedCode) -> HighlightedCode:
    """Ask for colours and wait until all rows have them, or never will."""
    changed = asyncio.Event()
    client.request(code, lambda _: changed.set())
    async with asyncio.timeout(WAIT_LIMIT_S):
        while code.rows and code.row_spans(len(code.rows) - 1) is None:
            await changed.wait()
            changed.clear()
    return code


def unexpected(code: HighlightedCode) -> None:
    raise AssertionError(f"colours of {code.language}")


def children() -> list[psutil.Process]:
    found = psutil.Process().children()
    return [child for child in found if "qwen3_chat.highlighting" in child.cmdline()]


def counted_starts(monkeypatch: pytest.MonkeyPatch) -> list[ChildProcess]:
    """Return a list that gets each process that is started from now on."""
    start, started = ChildProcess.start, list[ChildProcess]()

    async def count(module: str, *, log_path: Path | None) -> ChildProcess:
        started.append(await start(module, log_path=log_path))
        return started[-1]

    monkeypatch.setattr(ChildProcess, "start", count)
    return started


async def test_code_gets_its_colours(highlighter: Highlighter) -> None:
    code = await coloured(highlighter, block("python", "def f():", "    return 1"))
    assert code.spans == [((0, 3, "keyword"), (4, 5, "function")), ((4, 10, "keyword"), (11, 12, "number"))]


async def test_the_process_starts_with_the_first_block_that_needs_it(highlighter: Highlighter) -> None:
    assert children() == []
    await coloured(highlighter, block("python", "x = 1"))
    assert len(children()) == 1
    await highlighter.close()
    assert children() == []


async def test_a_block_that_takes_too_long_stays_plain_and_the_next_is_coloured(
    highlighter: Highlighter,
) -> None:
    endless = await coloured(highlighter, block(ENDLESS_LANGUAGE, ENDLESS_ROW))
    assert endless.is_plain
    assert endless.row_spans(0) == ()
    assert (await coloured(highlighter, block("python", "x = 1"))).row_spans(0)


async def test_a_block_that_took_too_long_is_not_tried_again(highlighter: Highlighter) -> None:
    await coloured(highlighter, block(ENDLESS_LANGUAGE, ENDLESS_ROW))
    again = block(ENDLESS_LANGUAGE, ENDLESS_ROW)
    highlighter.request(again, unexpected)
    assert again.is_plain
    assert children() == []  # killed, and not started again


async def test_a_language_is_given_up_after_a_few_such_blocks(highlighter: Highlighter) -> None:
    for number in range(MAX_FAILED_BLOCKS):
        await coloured(highlighter, block(ENDLESS_LANGUAGE, ENDLESS_ROW, str(number)))
    another = block(ENDLESS_LANGUAGE, "x = 1")
    highlighter.request(another, unexpected)
    assert another.is_plain
    assert await highlighter.render_html(ENDLESS_LANGUAGE, "x = 1") == ""


async def test_a_growing_block_gets_the_colours_of_its_rows_as_they_arrive(highlighter: Highlighter) -> None:
    code = await coloured(highlighter, block("python", 'x = """a', is_complete=False))
    code.rows.append('b"""')
    await coloured(highlighter, code)
    assert code.spans[1] == STRING_END


async def test_a_block_goes_on_after_the_process_was_killed(highlighter: Highlighter) -> None:
    code = await coloured(highlighter, block("python", 'x = """a', is_complete=False))
    children()[0].kill()
    code.rows.append('b"""')
    await coloured(highlighter, code)
    assert code.spans[1] == STRING_END


async def test_a_block_whose_process_is_killed_once_gets_its_colours(
    highlighter: Highlighter, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = counted_starts(monkeypatch)
    await coloured(highlighter, block("python", "x = 1"))
    children()[0].kill()
    code = await coloured(highlighter, block("python", "y = 2"))
    assert code.row_spans(0)
    assert not code.is_plain
    assert len(starts) == 2


async def test_a_block_whose_process_is_killed_each_time_stays_plain(
    highlighter: Highlighter, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = counted_starts(monkeypatch)
    monkeypatch.setattr(ChildProcess, "write", lambda child, line: child.kill())
    assert (await coloured(highlighter, block("python", "x = 1"))).is_plain
    assert len(starts) == 2


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a system that limits processor time")
async def test_a_block_that_used_up_its_time_is_not_given_to_another_process(
    highlighter: Highlighter, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = counted_starts(monkeypatch)
    assert (await coloured(highlighter, block(ENDLESS_LANGUAGE, ENDLESS_ROW))).is_plain
    assert len(starts) == 1


async def test_the_time_that_the_process_takes_to_start_is_not_the_time_of_the_block(
    highlighter: Highlighter, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, loop = ChildProcess.start, asyncio.get_running_loop()
    time_s = loop.time

    async def start_late(module: str, *, log_path: Path | None) -> ChildProcess:
        child = await start(module, log_path=log_path)
        monkeypatch.setattr(loop, "time", lambda: time_s() + WALL_LIMIT_S)
        return child

    monkeypatch.setattr(ChildProcess, "start", start_late)
    assert (await coloured(highlighter, block("python", "x = 1"))).row_spans(0)


async def test_a_block_gets_its_colours_when_the_process_starts_at_the_second_attempt(
    highlighter: Highlighter, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, refusals = ChildProcess.start, [BlockingIOError("no more processes for now")]

    async def refuse_once(module: str, *, log_path: Path | None) -> ChildProcess:
        if refusals:
            raise refusals.pop()
        return await start(module, log_path=log_path)

    monkeypatch.setattr(ChildProcess, "start", refuse_once)
    assert (await coloured(highlighter, block("python", "x = 1"))).row_spans(0)


async def test_json_is_coloured_when_its_block_is_complete(highlighter: Highlighter) -> None:
    code = block("json", "[1,", is_complete=False)
    changed = asyncio.Event()
    highlighter.request(code, lambda _: changed.set())
    await changed.wait()
    assert code.row_spans(0) is None
    code.rows.append("true]")
    code.is_complete = True
    await coloured(highlighter, code)
    assert all(code.spans)


async def test_a_block_over_the_size_is_coloured_as_far_as_it_goes(highlighter: Highlighter) -> None:
    row = "x = 1" + " " * 995
    rows = [row] * (MAX_CHARACTERS // len(row) + 1)
    code = await coloured(highlighter, block("python", *rows))
    assert code.is_plain
    assert code.row_spans(0)
    assert code.row_spans(len(rows) - 1) == ()


async def test_a_row_of_too_many_colours_arrives_in_portions(highlighter: Highlighter) -> None:
    code = await coloured(highlighter, block("python", *["1 " * 3000] * 5))
    assert {len(row) for row in code.spans} == {2000}


async def test_colours_are_there_at_once_for_a_block_seen_before(highlighter: Highlighter) -> None:
    first = await coloured(highlighter, block("python", "def f(): pass"))
    second = block("python", "def f(): pass")
    highlighter.request(second, unexpected)
    assert second.spans == first.spans


async def test_the_memory_of_the_process_is_limited(highlighter: Highlighter) -> None:
    await coloured(highlighter, block("python", "x = 1"))
    resource = pytest.importorskip("resource", reason="needs limits for processes")
    soft, _ = children()[0].rlimit(resource.RLIMIT_AS)
    assert soft == 1 << 29


async def test_where_no_process_starts_code_is_plain(
    highlighter: Highlighter, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[str] = []

    async def refuse(module: str, **options: object) -> None:
        starts.append(module)
        raise OSError("no more processes")

    monkeypatch.setattr(ChildProcess, "start", refuse)
    for language in ("python", "c", "go", "rust", "sql"):
        assert (await coloured(highlighter, block(language, "x = 1"))).is_plain
    assert len(starts) == 3


async def test_a_process_that_says_nothing_is_killed(
    highlighter: Highlighter, monkeypatch: pytest.MonkeyPatch
) -> None:
    await coloured(highlighter, block("python", "x = 1"))
    os.kill(children()[0].pid, signal.SIGSTOP)
    monkeypatch.setattr(highlighter_module, "WALL_LIMIT_S", 0)
    assert (await coloured(highlighter, block("python", "y = 1"))).is_plain
    assert children() == []


async def test_code_in_html_has_the_same_limits(highlighter: Highlighter) -> None:
    assert await highlighter.render_html("python", "x = 1\n") == (
        '<span class="n">x</span> <span class="o">=</span> <span class="mi">1</span>\n'
    )
    assert await highlighter.render_html(ENDLESS_LANGUAGE, ENDLESS_ROW) == ""
    assert await highlighter.render_html("no-such-language", "x") == ""


def test_the_colours_used_longest_ago_are_forgotten() -> None:
    stored, blocks = StoredColours(), [block("python", str(number)) for number in range(3)]
    for code in blocks:
        code.spans = [((0, 1, "number"),) * (MAX_STORED_SPANS // 3)]
        stored.add(code)
    assert [stored.restore(block("python", str(number))) for number in range(3)] == [False, True, True]


def test_two_blocks_with_the_same_text_are_kept_apart_by_their_language() -> None:
    assert block("c", "x").digest() != block("go", "x").digest()
    assert block("c", "x").digest() == block("c", "x").digest()
