"""The process in which chat templates run: whatever a template does, the worker gets an answer in time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psutil
import pytest

from qwen3_chat.engine.worker.template_process import TemplateProcess, read_answer
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import Cancelled, EngineError
from tests.engine.hostile_templates import BOUNDED, ENDLESS

LIMIT_S = 0.5
PLENTY_S = 60.0


@pytest.fixture(scope="module")
def process() -> Iterator[TemplateProcess]:
    process = TemplateProcess(limit_s=PLENTY_S)
    yield process
    process.close()


@pytest.fixture
def hurried_process() -> Iterator[TemplateProcess]:
    process = TemplateProcess(limit_s=LIMIT_S)
    yield process
    process.close()


def failure_of(process: TemplateProcess, source: str) -> EngineError:
    def run() -> None:
        process.compile(source)
        process.render({"messages": []})

    with pytest.raises(EngineError) as failure:
        run()
    return failure.value


@pytest.mark.parametrize("name", BOUNDED)
def test_a_template_that_takes_too_much_is_refused(process: TemplateProcess, name: str) -> None:
    source, code = BOUNDED[name]
    assert failure_of(process, source).code == code


@pytest.mark.parametrize("name", ENDLESS)
def test_a_template_that_never_ends_is_killed(hurried_process: TemplateProcess, name: str) -> None:
    failure = failure_of(hurried_process, ENDLESS[name])
    assert failure.code == ErrorCode.CHAT_TEMPLATE_TOO_SLOW
    assert "0.5 s" in str(failure)


def test_after_a_template_was_killed_another_one_runs(hurried_process: TemplateProcess) -> None:
    failure_of(hurried_process, ENDLESS["loops"])
    hurried_process.compile("{{ messages[0] }} is there")
    assert hurried_process.render({"messages": ["<\ud800>"]}) == "<\ud800> is there"


def test_a_result_that_nobody_wants_is_not_waited_for(process: TemplateProcess) -> None:
    process.compile(ENDLESS["loops"])
    checks = count()
    with pytest.raises(Cancelled):
        process.render({}, lambda: next(checks) > 2)
    assert process.pid is None


def test_a_failure_of_the_template_leaves_the_process_as_it_is(process: TemplateProcess) -> None:
    process.compile("{{ raise_exception('no') }}")
    before = process.pid
    assert failure_of(process, "{{ raise_exception('no') }}").code == ErrorCode.CHAT_TEMPLATE_FAILED
    assert failure_of(process, "{% if").code == ErrorCode.CHAT_TEMPLATE_BROKEN
    assert process.pid == before


def test_a_process_that_was_killed_is_started_again(process: TemplateProcess) -> None:
    process.compile("a")
    assert process.pid is not None
    psutil.Process(process.pid).kill()
    with pytest.raises(EngineError) as failure:
        process.render({})
    assert failure.value.code == ErrorCode.CHAT_TEMPLATE_CRASHED
    assert process.render({}) == "a"


def test_a_process_that_cannot_start_is_told(tmp_path: Path) -> None:
    missing = TemplateProcess(str(tmp_path / "python"))
    assert failure_of(missing, "a").code == ErrorCode.CHAT_TEMPLATE_CRASHED


@pytest.mark.skipif(sys.platform != "linux", reason="reads the limits of another process")
def test_the_process_knows_no_key_and_may_neither_write_files_nor_start_programs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import resource

    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    process = TemplateProcess()
    process.compile("a")
    assert process.pid is not None
    assert "secret" not in psutil.Process(process.pid).environ().values()
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_CORE):
        assert resource.prlimit(process.pid, limit) == (0, 0)
    descriptors = sorted(path.name for path in Path(f"/proc/{process.pid}/fd").iterdir())
    process.close()
    assert descriptors == ["0", "1", "2"]


@pytest.mark.parametrize(
    "answer", [b"\n", b"[]\n", b'{"text": 1}\n', b'{"failure": "?"}\n', b"\xff\n", b"[" * 100_000 + b"\n"]
)
def test_an_answer_without_sense_is_no_text(answer: bytes) -> None:
    with pytest.raises(EngineError) as failure:
        read_answer(answer)
    assert failure.value.code == ErrorCode.CHAT_TEMPLATE_CRASHED
