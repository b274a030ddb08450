"""`compare`: a suite on the demo model, gone on with, and compared with a baseline."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import WAIT_LIMIT_S
from tests.e2e.conftest import Program

SUITE = """
[[case]]
id = "strawberries"
prompt = "How many r's in strawberries?"
check.number = 3
[[case]]
id = "impossible"
prompt = "Hello"
check.exact = "never"
"""


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text("utf-8").splitlines()]


def test_a_comparison_is_reported_and_asks_nothing_twice(program: Program, tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE, "utf-8")
    folder = tmp_path / "results"
    command = (
        "compare",
        str(tmp_path / "suite.toml"),
        "--model",
        "demo",
        "--think",
        "both",
        "-o",
        str(folder),
    )
    limits = ("--max-tokens", "300")
    done = program.run(*command, *limits)
    assert (done.returncode, done.stderr) == (0, f"The report is {folder / 'report.html'}.\n")
    assert "1 of 2" in done.stdout
    assert {(row["case"], row["mode"], row["passed"]) for row in rows(folder)} == {
        ("strawberries", "think", True),
        ("strawberries", "no_think", True),
        ("impossible", "think", False),
        ("impossible", "no_think", False),
    }
    assert "strawberries" in (folder / "report.md").read_text("utf-8")
    baseline = [{**row, "seed": seed, "passed": True} for row in rows(folder) for seed in range(1, 40)]
    (tmp_path / "old.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in baseline), "utf-8")
    again = program.run(
        *command, *limits, "--json", "--baseline", str(tmp_path / "old.jsonl"), "--lang", "zh"
    )
    result = json.loads(again.stdout)
    assert again.returncode == 1
    assert [(row["model"], row["passed"], row["of"]) for row in result["models"]] == [("demo", 1, 2)] * 2
    assert len(result["regressions"]) == 2
    assert len(rows(folder)) == 4, "nothing was asked again"


@pytest.mark.full
def test_a_comparison_that_was_interrupted_goes_on(program: Program, tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE, "utf-8")
    folder = tmp_path / "results"
    command = ("compare", str(tmp_path / "suite.toml"), "--model", "demo", "--seeds", "10", "-o", str(folder))
    with subprocess.Popen(
        [*program.command, *command], env=program.environment, stderr=subprocess.PIPE
    ) as process:
        while not (folder / "results.jsonl").exists() or len(rows(folder)) < 3:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_LIMIT_S) == 130
    before = len(rows(folder))
    assert 3 <= before < 20
    assert program.run(*command).returncode == 0
    keys = [(row["case"], row["seed"]) for row in rows(folder)]
    assert len(keys) == len(set(keys)) == 20


@pytest.mark.full
def test_wrong_usage_and_models_that_are_not_there(program: Program, tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE.replace("check.exact", "check.equal"), "utf-8")
    for arguments in ((str(tmp_path / "suite.toml"),), ("en", "--think", "maybe"), ("nowhere",)):
        done = program.run("compare", *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    missing = program.run("compare", "en", "--model", "99B")
    assert (missing.returncode, missing.stderr.count("\n")) == (3, 1)


@pytest.mark.full
def test_thinking_that_leaves_no_answer_is_a_failed_answer(program: Program, tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE, "utf-8")
    command = ("compare", str(tmp_path / "suite.toml"), "--max-tokens", "5", "-o", str(tmp_path / "results"))
    assert program.run(*command).returncode == 0
    assert [(row["passed"], row["error"]) for row in rows(tmp_path / "results")] == [(False, None)] * 2
