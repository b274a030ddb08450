"""Pass rates, results in a file, and what a report says of them."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from qwen3_chat.comparison.answer_checks import AnswerChecks
from qwen3_chat.comparison.pass_rates import PassRate
from qwen3_chat.comparison.report import conclusion_lines, html_report, markdown_report, score_lines
from qwen3_chat.comparison.results import (
    CaseResult,
    ModelScore,
    read_results,
    regressions,
    score,
    smallest_good_enough,
)
from qwen3_chat.comparison.suite import Suite, SuiteCase
from qwen3_chat.errors import UsageError

EVIL = "<script>alert(1)</script> | `x` & \x1b[2J"


def test_the_intervals_are_those_of_wilson_and_newcombe() -> None:
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29; table II: 56 of 70 beside 48 of 80
    for (passed, of), interval in (
        ((81, 263), (0.2553, 0.3662)),
        ((15, 148), (0.0624, 0.1605)),
        ((0, 20), (0.0, 0.1611)),
        ((1, 29), (0.0061, 0.1718)),
        ((0, 0), (0.0, 1.0)),
    ):
        assert PassRate(passed, of).interval == pytest.approx(interval, abs=5e-5)
    assert PassRate(56, 70).difference(PassRate(48, 80)) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_a_difference_is_noise_unless_the_interval_leaves_zero_out() -> None:
    assert PassRate(9, 10).is_noise_beside(PassRate(7, 10))
    assert not PassRate(90, 100).is_noise_beside(PassRate(70, 100))
    assert PassRate(0, 0).is_noise_beside(PassRate(5, 5))
    assert PassRate(3, 10).is_regression_from(PassRate(9, 10))
    assert not PassRate(7, 10).is_regression_from(PassRate(9, 10))
    assert not PassRate(0, 0).is_regression_from(PassRate(9, 10))


def suite_of(*ids: str) -> Suite:
    return Suite(
        "made up", tuple(SuiteCase(id, f"{id}?", "", "", AnswerChecks(exact="a"), "d") for id in ids)
    )


def rows(target: str, passed: int, of: int, parameters: int = 0, mode: str = "think") -> list[CaseResult]:
    return [
        CaseResult("a", "d", target, mode, seed, target, seed < passed, parameters=parameters, seconds=seed)
        for seed in range(of)
    ]


def test_results_are_read_again_and_the_last_of_a_key_counts(tmp_path: Path) -> None:
    first, second = rows("m", 1, 2)
    later = msgspec.structs.replace(first, passed=False, error="no")
    lines = [msgspec.json.encode(row) for row in (first, second, later)]
    path = tmp_path / "results.jsonl"
    path.write_bytes(b"\n".join(lines) + b'\n{"case": "cut o')
    assert read_results(path) == (later, second)
    path.write_text("nonsense\n[]\n", "utf-8")
    for unreadable in (path, tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError):
            read_results(unreadable)


def test_only_the_cases_as_they_are_now_are_counted() -> None:
    results = [
        *rows("m", 2, 3),
        CaseResult("a", "old", "m", "think", 9),
        CaseResult("gone", "d", "m", "think", 9),
    ]
    (one,) = score(results, suite_of("a", "b"), [("m", "think"), ("m", "no_think"), ("other", "think")])
    assert (one.rate, one.seconds_p50) == (PassRate(2, 3), 1)
    skipped = CaseResult("a", "d", "m", "think", 7)
    (one,) = score(
        [skipped, msgspec.structs.replace(skipped, seed=8, error="no")], suite_of("a"), [("m", "think")]
    )
    assert (one.rate.of, one.n_skipped, one.n_failed) == (0, 1, 1)


def test_a_regression_is_told_of_the_cases_that_both_have() -> None:
    before = [*rows("m", 18, 20), *rows("n", 18, 20)]
    now = [
        ModelScore("m", "think", tuple(rows("m", 5, 20))),
        ModelScore("n", "think", tuple(rows("n", 17, 20))),
    ]
    (one,) = regressions(now, before)
    assert (one.target, one.now, one.before) == ("m", PassRate(5, 20), PassRate(18, 20))
    changed = [msgspec.structs.replace(row, digest="other") for row in before]
    assert list(regressions(now, changed)) == []


def test_the_smallest_that_is_not_clearly_worse_is_named() -> None:
    large, small, tiny = (
        ModelScore(name, "think", tuple(rows(name, passed, 100, parameters)))
        for name, passed, parameters in (("8B", 90, 8_000), ("4B", 88, 4_000), ("0.6B", 30, 600))
    )
    assert smallest_good_enough([large, small, tiny]) is small
    assert smallest_good_enough([ModelScore("served", "think", tuple(rows("served", 9, 9)))]) is None
    lines = conclusion_lines([large, small, tiny], [])
    assert lines == [
        "8B · thinking and 4B · thinking: the difference may be chance.",
        "8B · thinking is better than 0.6B · thinking.",
        "Smallest model that is not clearly worse than the best: 4B · thinking.",
    ]


class Tags(HTMLParser):
    """A reader of the tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names = set[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.names.add(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)


def test_no_answer_can_do_anything_in_a_report() -> None:
    evil = CaseResult("a", "d", EVIL, "think", 1, EVIL, False, (), EVIL, EVIL, error=EVIL)
    one = ModelScore(EVIL, "think", (evil, msgspec.structs.replace(evil, seed=2, error=None, passed=True)))
    suite = suite_of("a", EVIL)
    page = html_report(suite, [one], [])
    assert "script" not in Tags(page).names
    assert {"svg", "table", "details"} <= Tags(page).names
    assert "\x1b" not in page + markdown_report(suite, [one], []) + "".join(score_lines([one])).replace(
        "\x1b", ""
    )
    table = [line for line in markdown_report(suite, [one], []).splitlines() if line.startswith("| <")]
    assert all(line.replace("\\|", "").count("|") == 7 for line in table[:1])


def test_the_answers_of_several_seeds_are_told_apart() -> None:
    first = CaseResult("a", "d", "m", "think", 1, "m", True, (), "Yes")
    answers = (first, msgspec.structs.replace(first, seed=2))
    suite = suite_of("a")
    assert "seed" not in html_report(suite, [ModelScore("m", "think", answers[:1])], [])
    page = html_report(suite, [ModelScore("m", "think", answers)], [])
    assert "passed · seed 1 ·" in page
    assert "passed · seed 2 ·" in page
