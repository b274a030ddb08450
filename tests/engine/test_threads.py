from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.in_process import clear_context, open_model, reply_to, use_idle_time
from qwen3_chat.engine import cpu_cores
from qwen3_chat.engine.worker.abort_flag import AbortedError, AbortFlag
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.engine.worker.threads import ThreadChoice, ThreadGuard, measure_threads
from tests.engine.agreement import check_agree
from tests.engine.requests import chat_request, user_message


@pytest.fixture(scope="module")
def model(endless_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    yield from open_model(endless_gguf, tmp_path_factory.mktemp("log") / "engine.log", n_ctx=256)


@pytest.mark.parametrize(
    ("recorded", "best"),
    [
        ([], 3),
        ([(2, 0.1)], 2),  # the only one that is known
        ([(3, 0.1), (4, 0.05)], 4),
        ([(3, 0.1), (4, 0.095)], 3),  # not worth a change
        ([(3, 0.1), (4, 9.0), (4, 0.05)], 3),
        ([(3, 0.1), (4, 9.0), (4, 0.05), (4, 0.05)], 4),  # other work was in the way once
        ([(4, 0.05), (3, 0.1), (4, 2.0), (4, 2.0)], 3),  # and is there to stay
    ],
)
def test_the_fastest_of_late_is_chosen(recorded: list[tuple[int, float]], best: int) -> None:
    choice = ThreadChoice((2, 3, 4), 3, 4)
    for n_threads, token_s in recorded:
        choice.record(n_threads, token_s)
    assert choice.best == best


def played(guard: ThreadGuard, times_s: Callable[[int], float], first: int, n_tokens: int) -> list[int]:
    """Play the times of a reply; return the numbers of threads that it used, in order."""
    threads = [first]
    for _ in range(n_tokens):
        if (other := guard.record(times_s(threads[-1]))) is not None:
            threads.append(other)
    return threads


@pytest.mark.parametrize(
    ("before_s", "after_s", "expected"),
    [
        ({4: 0.1}, {4: 0.1}, [4]),
        ({4: 0.1}, {4: 0.15}, [4]),  # slower, but no collapse
        ({4: 0.1}, {4: 2.0, 3: 0.12}, [4, 3]),
        ({4: 0.1}, {4: 2.0, 3: 2.0}, [4, 3, 4]),  # it was not the threads
        ({4: 0.1}, {4: 2.0, 3: 0.9, 2: 0.1}, [4, 3]),
    ],
)
def test_a_reply_goes_on_with_fewer_threads_when_the_speed_collapses(
    before_s: dict[int, float], after_s: dict[int, float], expected: list[int]
) -> None:
    guard = ThreadGuard(ThreadChoice((2, 3, 4), 4, 4))
    assert played(guard, before_s.__getitem__, 4, 40) == [4]
    assert played(guard, after_s.__getitem__, 4, 60) == expected


def test_a_reply_takes_its_threads_back_when_the_other_work_is_over() -> None:
    choice = ThreadChoice((2, 3, 4), 4, 4)
    guard = ThreadGuard(choice)
    played(guard, lambda n: 0.1, 4, 40)
    assert played(guard, {4: 2.0, 3: 0.12}.__getitem__, 4, 40) == [4, 3]
    assert choice.best == 3
    assert played(guard, {4: 0.08, 3: 0.1}.__getitem__, 3, 200) == [3, 4]


def test_a_context_that_grows_is_no_collapse() -> None:
    guard = ThreadGuard(ThreadChoice((2, 3, 4), 4, 4))
    times_s = iter([0.01 * (1 + depth / 1000) for depth in range(8000)])
    assert played(guard, lambda n: next(times_s), 4, 8000) == [4]


def test_what_is_tried_holds_the_default_and_every_core(monkeypatch: pytest.MonkeyPatch) -> None:
    for physical, expected in ((1, (1,)), (2, (1, 2)), (4, (2, 3, 4)), (16, (8, 15, 16))):
        monkeypatch.setattr("psutil.cpu_count", lambda logical, n=physical: n)
        monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(64)), raising=False)
        assert cpu_cores.threads_to_try() == expected
        assert cpu_cores.default_threads() in expected
        assert cpu_cores.default_prompt_threads() == expected[-1]


def test_measuring_leaves_everything_as_it_was(model: LlamaModel) -> None:
    choice = ThreadChoice((1, 2), 1, 2)
    clear_context(model)
    turn = reply_to(model, chat_request(user_message("Hi"), max_tokens=20))
    use_idle_time(model, turn)
    before = [list(model.context.tokens), list(model.context.prefetched)]
    measure_threads(model.context, choice, AbortFlag())
    assert [model.context.tokens, model.context.prefetched] == before
    assert choice.best in (1, 2)
    check_agree(model, reply_to(model, turn.request), turn)


def test_measuring_ends_when_there_is_something_to_do(model: LlamaModel) -> None:
    clear_context(model)
    reply_to(model, chat_request(user_message("Hi"), max_tokens=20))
    tokens = list(model.context.tokens)
    abort = AbortFlag()
    abort.set()
    measure_threads(model.context, ThreadChoice((1, 2), 1, 2), abort)
    with pytest.raises(AbortedError):
        model.context.time_token_s()
    model.context.set_abort_flag(AbortFlag())
    assert model.context.tokens == tokens
    assert model.context.time_token_s() is not None
    assert model.context.time_token_s(limit_s=1e-9) is not None


def test_nothing_is_measured_without_room_or_without_a_chat(model: LlamaModel) -> None:
    clear_context(model)
    model.context.set_abort_flag(AbortFlag())
    assert model.context.time_token_s() is None
    reply_to(model, chat_request(user_message("Hi")))
    assert model.context.time_token_s() is None


def test_threads_that_the_user_chose_are_kept(demo_gguf: Path, log_path: Path) -> None:
    for model in open_model(demo_gguf, log_path, n_threads=1):
        assert model.threads is None
