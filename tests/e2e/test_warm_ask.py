"""`ask --warm`: the real program, whose engine stays for the next question."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.conftest import WAIT_LIMIT_S
from tests.e2e.conftest import Program, program
from tests.warm_engines import FOLDER_VARIABLE, holders_of, own_runtime_folder, processes_of, wait_for_end

__all__ = ["program"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX sockets with the user at their end")

STAYS = "The model stays loaded"
LOST = "has ended unexpectedly"
QUICK = ("--no-think", "--max-tokens", "4", "--json")


@pytest.fixture
def runtime(program: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with own_runtime_folder() as folder:
        monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
        yield folder
        program.run("doctor", "--stop-warm")


@dataclass(frozen=True)
class Asked:
    """What a question has given: the answer, the sentences for people, whether a model was loaded for it."""

    answer: str
    said: str
    has_loaded: bool


def ask(program: Program, *options: str, model: Sequence[str] = ("--demo",)) -> Asked:
    before = loads_in(program)
    done = program.run("ask", *model, *QUICK, *options, "Hello")
    assert done.returncode == 0, done.stderr
    advice = "Ended at the token limit. Ask again with a larger --max-tokens.\n"
    answer = json.loads(done.stdout)["answer"]
    return Asked(answer, done.stderr.replace(advice, ""), loads_in(program) > before)


def worker_of(runtime: Path) -> psutil.Process:
    """The process that has the model."""
    (holder,) = holders_of(runtime)
    return next(child for child in holder.children() if "qwen3_chat.engine.worker" in child.cmdline())


def loads_in(program: Program) -> int:
    """The number of models that were loaded, cold or warm, by the engine's log."""
    log = program.home / "logs" / "engine.log"
    return log.read_text("utf-8", "replace").count("loaded meta data") if log.exists() else 0


def begin_endless(program: Program, gguf: Path, *options: str) -> subprocess.Popen[str]:
    """Ask for an answer without an end; return the process once the first word is there."""
    asking = subprocess.Popen(
        [*program.command, "ask", "--gguf", str(gguf), "--no-think", "--jsonl", *options, "Hello"],
        env=program.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert asking.stdout is not None
    for line in asking.stdout:
        if json.loads(line)["type"] == "answer_delta":
            break
    return asking


def test_the_next_question_finds_the_model_loaded(program: Program, runtime: Path) -> None:
    first = ask(program, "--warm", "5")
    assert first.has_loaded
    assert STAYS in first.said
    worker = worker_of(runtime)
    assert ask(program) == Asked(first.answer, "", False)
    assert worker_of(runtime) == worker


@pytest.mark.full
def test_it_is_listed_and_ended_by_the_doctor(program: Program, runtime: Path) -> None:
    ask(program, "--warm", "5")
    processes = processes_of(runtime)
    facts = json.loads(program.run("doctor", "--json").stdout)
    (engine,) = facts["warm_engines"]
    assert engine["model"].startswith("Qwen3-chat demo")
    assert (engine["pid"], engine["minutes"], engine["n_callers"]) == (processes[0].pid, 5, 0)
    assert engine["memory_bytes"] > 1 << 20
    assert "has been ended" in program.run("doctor", "--stop-warm").stdout
    wait_for_end(processes)
    assert "No model is kept loaded" in program.run("doctor", "--stop-warm").stdout


@pytest.mark.full
def test_another_context_means_a_new_load(program: Program, runtime: Path) -> None:
    ask(program, "--warm", "5")
    before = processes_of(runtime)
    cold = ask(program, "--ctx", "1024")  # which did not ask for one that stays
    assert (cold.has_loaded, cold.said) == (True, "")
    assert processes_of(runtime) == before
    changed = ask(program, "--ctx", "1024", "--warm", "5")
    assert changed.has_loaded
    assert STAYS in changed.said
    wait_for_end(before)
    assert len(holders_of(runtime)) == 1


@pytest.mark.full
def test_two_at_once_are_answered_one_after_the_other(program: Program, runtime: Path) -> None:
    command = [*program.command, "ask", "--demo", *QUICK, "--warm", "5", "Hello"]
    asking = [
        subprocess.Popen(
            command, env=program.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    first, second = [json.loads(process.communicate(timeout=WAIT_LIMIT_S)[0]) for process in asking]
    assert first["answer"] == second["answer"]
    assert ask(program) == Asked(first["answer"], "", False)
    assert len(holders_of(runtime)) == 1


@pytest.mark.full
def test_an_engine_that_was_killed_costs_a_sentence_and_a_cold_start(program: Program, runtime: Path) -> None:
    ask(program, "--warm", "5")
    for place in (0, -1):  # the holder, then what it holds
        processes = processes_of(runtime)
        [holders_of(runtime)[0], worker_of(runtime)][place].kill()
        wait_for_end(processes)
        again = ask(program, "--warm", "5")
        assert again.has_loaded
        assert again.said.count(LOST) == 1
        assert ask(program) == Asked(again.answer, "", False)


@pytest.mark.full
def test_an_engine_that_is_killed_in_mid_answer_fails_that_answer_only(
    program: Program, runtime: Path, tireless_gguf: Path
) -> None:
    with begin_endless(program, tireless_gguf, "--warm", "5") as asking:
        worker_of(runtime).kill()
        assert asking.stdout is not None
        events = [json.loads(line) for line in asking.stdout]
    assert asking.returncode == 1
    assert [event["error_code"] for event in events if "error_code" in event] == ["engine_killed"]
    again = ask(program, "--warm", "5")
    assert again.has_loaded
    assert LOST in again.said


def test_a_caller_that_is_killed_in_mid_answer_frees_the_engine(
    program: Program, runtime: Path, tireless_gguf: Path
) -> None:
    with begin_endless(program, tireless_gguf, "--warm", "5") as asking:
        worker = worker_of(runtime)
        os.kill(asking.pid, signal.SIGKILL)
    assert not ask(program, model=("--gguf", str(tireless_gguf))).has_loaded
    assert worker_of(runtime) == worker


@pytest.mark.full
def test_a_question_that_waits_says_so_and_can_be_stopped(
    program: Program, runtime: Path, tireless_gguf: Path
) -> None:
    with begin_endless(program, tireless_gguf, "--warm", "5") as asking:
        command = [*program.command, "ask", "--gguf", str(tireless_gguf), "--warm", "5", "Hello"]
        with subprocess.Popen(
            command, env=program.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as waiting:
            assert waiting.stderr is not None
            assert "still answering another question" in waiting.stderr.readline()
            waiting.send_signal(signal.SIGINT)
            said = waiting.stderr.read()
        assert (waiting.returncode, said.count("\n")) == (130, 1), said
        asking.send_signal(signal.SIGINT)
        asking.communicate(timeout=WAIT_LIMIT_S)
    assert asking.returncode == 130


@pytest.mark.full
def test_an_unused_engine_ends_by_itself(program: Program, runtime: Path) -> None:
    ask(program, "--warm", "0.02")
    wait_for_end(processes_of(runtime))
    assert list(runtime.glob("*/*.sock")) == []


@pytest.mark.full
def test_the_setting_keeps_it_as_well_and_zero_uses_none(program: Program, runtime: Path) -> None:
    config = program.home / "config" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("warm_minutes = 5\n", "utf-8")
    assert STAYS in ask(program).said
    processes = processes_of(runtime)
    cold = ask(program, "--warm", "0")
    assert (cold.has_loaded, cold.said) == (True, "")
    wait_for_end(processes)
    assert holders_of(runtime) == []


@pytest.mark.full
def test_the_chat_takes_the_place_of_the_warm_engine(program: Program, runtime: Path) -> None:
    ask(program, "--warm", "5")
    processes = processes_of(runtime)
    done = subprocess.run(
        [*program.command, "--demo"],
        input="Hello\n",
        env={**program.environment, "ACCESSIBLE": "1"},
        capture_output=True,
        text=True,
        timeout=WAIT_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    wait_for_end(processes)


def test_a_folder_that_others_can_read_is_not_used(program: Program, runtime: Path) -> None:
    (runtime / "qwen3-chat").mkdir(mode=0o755)
    asked = ask(program, "--warm", "5")
    assert asked.answer
    assert "is not private" in asked.said
    assert holders_of(runtime) == []


def test_a_server_is_not_kept_warm(program: Program) -> None:
    done = program.run("ask", "--endpoint", "http://127.0.0.1:9", "--warm", "5", "Hello")
    assert done.returncode == 2
    assert "--warm" in done.stderr
