"""The faster library itself, in processes of its own, beside llama-cpp-python."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from benchmarks import library_equality
from event_stream import events_of
from qwen3_chat.chat import StopReason, ThinkingMode
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.native_libraries import (
    IK_NAME,
    fast_library_file,
    has_fast_library,
    library_environment,
)
from qwen3_chat.engine.worker.__main__ import ENVIRONMENT
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest, LoadSettings
from tests.conftest import REPOSITORY
from tests.engine.agreement import NOISE_LOGITS
from tests.engine.requests import chat_request, collect_events, end_of, text_of, user_message

pytestmark = pytest.mark.skipif(not has_fast_library(), reason="needs ik-llama-cpp-python")

QUESTIONS = (
    "How many r's in strawberries?",
    "Tell me a story.",
    "What is 17 + 25?",
    "你好，你是谁？",
    "Write a Python function that adds two numbers.",
)
IDLE_TESTS = "engine/test_idle_evaluation.py"
SUITE = (
    "engine/test_context.py",
    "engine/test_continuing.py",
    IDLE_TESTS,
    "engine/test_prompt_lookup.py",
    "engine/test_sampled_ids.py",
    "engine/test_saved_cells.py",
    "engine/test_snapshots.py",
    "engine/test_local_engine.py",
    "engine/test_thinking_budget.py",
    "engine/test_tool_call_grammar.py",
    "engine/test_answer_schema.py",
    "engine/test_broken_files.py",
    "engine/test_larger_context.py",
    "engine/test_cancelling.py",
    "attacks/test_model_files.py",
    "attacks/test_templates.py",
)
"""The tests that have to pass with either library: a process for each, as no process has both."""
WITH_SEVERAL_SEQUENCES = (
    "test_the_reply_stays_beside_what_is_evaluated_ahead",
    "test_a_chat_that_was_left_makes_room_for_the_one_that_is_on",
    "test_tokens_that_no_text_gives_are_in_the_cache_as_they_were_sampled",
)
"""Tests that look for cells beside those of one sequence, as the ready-made library never has them."""


@pytest.fixture
async def engines(demo_gguf: Path, tmp_path: Path) -> AsyncIterator[tuple[LocalEngine, LocalEngine]]:
    settings = LoadSettings(str(demo_gguf))
    usual = LocalEngine(settings, tmp_path / "usual.log")
    environment = library_environment(IK_NAME, None)
    fast = LocalEngine(settings, tmp_path / "fast.log", environment=environment)
    yield usual, fast
    await usual.close()
    await fast.close()


@pytest.mark.parametrize("question", QUESTIONS)
async def test_greedy_replies_are_the_same_with_both_libraries(
    engines: tuple[LocalEngine, LocalEngine], question: str
) -> None:
    request = chat_request(user_message(question), max_tokens=150)
    replies = [await collect_events(events_of(engine.generate, request)) for engine in engines]
    assert engines[1].model is not None
    assert engines[1].model.library == IK_NAME
    assert text_of(replies[0]) == text_of(replies[1])
    assert end_of(replies[0]).token_ids == end_of(replies[1]).token_ids
    assert end_of(replies[0]).usage == end_of(replies[1]).usage


async def test_an_answer_keeps_to_a_schema_with_the_faster_library(
    engines: tuple[LocalEngine, LocalEngine],
) -> None:
    schema = '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}'
    request: ChatRequest = replace(
        chat_request(user_message("How many r's in strawberries?")), answer_schema=schema
    )
    events = await collect_events(events_of(engines[1].generate, request))
    assert end_of(events).stop_reason is StopReason.END_OF_TURN
    assert isinstance(json.loads(text_of(events))["n"], int)


async def test_a_reply_is_the_same_after_another_chat_whose_cells_lie_in_between(
    engines: tuple[LocalEngine, LocalEngine],
) -> None:
    engine = engines[1]
    first = chat_request(user_message(QUESTIONS[0]), mode=ThinkingMode.THINK, max_tokens=150)
    other = chat_request(user_message(QUESTIONS[1] + " Make it a long one."), max_tokens=150)
    replies = []
    for request in (first, other, first, other, first):
        replies.append(end_of(await collect_events(events_of(engine.generate, request))).token_ids)
        await engine.wait_idle()
    assert replies[0] == replies[2] == replies[4]
    assert replies[1] == replies[3]


@pytest.mark.skipif(not hasattr(psutil.Process, "memory_maps"), reason="needs /proc, which is of Linux")
async def test_a_process_has_one_library(engines: tuple[LocalEngine, LocalEngine], tmp_path: Path) -> None:
    folders = {"llama_cpp": "llama_cpp", "ik_llama_cpp": "ik_llama_cpp", "fast-cpu": "ik_llama_cpp"}
    for engine, library in zip(engines, ("llama_cpp", "ik_llama_cpp"), strict=True):
        await collect_events(events_of(engine.load))
        files = [file.path for file in psutil.Process(engine.pid).memory_maps()]
        loaded = {name for folder, name in folders.items() if any(f"/{folder}/" in file for file in files)}
        assert loaded == {library}


@pytest.mark.full
def test_a_sample_of_chats_is_answered_alike_by_both_libraries_and_as_afresh(demo_gguf: Path) -> None:
    outcome = library_equality.compare(demo_gguf, count=6, seed=3)
    assert outcome.replies == 12
    assert all(judged.tokens > 100 for judged in outcome.judged.values())
    assert outcome.largest_gap < NOISE_LOGITS


@pytest.mark.full
@pytest.mark.parametrize("file", SUITE)
def test_the_tests_of_the_engine_pass_with_the_faster_library(file: str) -> None:
    left_out: list[str] = []
    if file == IDLE_TESTS and not fast_library_file():
        left_out = [f"--deselect=tests/{file}::{name}" for name in WITH_SEVERAL_SEQUENCES]
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "",
            f"tests/{file}",
            *left_out,
        ],
        cwd=REPOSITORY,
        env={**library_environment(IK_NAME, None), **ENVIRONMENT},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout[-4000:]
