from __future__ import annotations

import pytest

from qwen3_chat.models.hub.pull_progress import Throughput
from qwen3_chat.models.hub.retry_policy import RetryPolicy


def fed(*pieces: tuple[float, int]) -> Throughput:
    pace = Throughput()
    for at_s, arrived_bytes in pieces:
        pace.feed(arrived_bytes, at_s)
    return pace


def test_nothing_is_known_before_anything_arrived() -> None:
    assert Throughput().bytes_per_s == 0
    assert Throughput().remaining_s(1000) is None
    assert fed((5, 100)).remaining_s(1000) is None


@pytest.mark.parametrize("step_s", [0.1, 1, 7])
def test_a_steady_stream_has_its_speed_at_once(step_s: float) -> None:
    pace = fed(*((100 + number * step_s, int(1000 * step_s)) for number in range(5)))
    assert pace.bytes_per_s == pytest.approx(1000)
    assert pace.remaining_s(5000) == pytest.approx(5)


def test_bursts_are_smoothed() -> None:
    pace = fed((0, 0), *((number / 10, 1000 if number % 10 == 0 else 0) for number in range(1, 201)))
    assert 800 < pace.bytes_per_s < 1300


def test_a_stall_is_noticed() -> None:
    before = fed((0, 0), (10, 10_000))
    after = fed((0, 0), (10, 10_000), (25, 0))
    assert before.bytes_per_s == pytest.approx(1000)
    assert after.bytes_per_s < 60


def test_pieces_at_the_same_moment_all_count() -> None:
    assert fed((0, 0), (1, 500), (1, 500), (2, 0)).bytes_per_s > fed((0, 0), (1, 500), (2, 0)).bytes_per_s


def test_pauses_double_up_to_a_limit() -> None:
    policy = RetryPolicy(first_wait_s=1, max_wait_s=10)
    assert [policy.wait_s(attempt) for attempt in range(6)] == [1, 2, 4, 8, 10, 10]
