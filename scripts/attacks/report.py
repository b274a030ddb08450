"""The options of an attack and the report about it: figures with the seed and the commit."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from environment import ROOT


@dataclass(frozen=True, slots=True)
class Options:
    """The seed of all that is random, and how many cases to try; None is the whole attack."""

    seed: int = 1
    count: int | None = None

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> Self:
        """Read `--seed N --count N`."""
        parser = argparse.ArgumentParser(prog="scripts/torture ATTACK")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--count", type=int, default=None)
        found = parser.parse_args(arguments)
        return cls(found.seed, found.count)


@dataclass(slots=True)
class Report:
    """What an attack found: figures by name, in order, and each case in which the app gave way."""

    figures: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def check(self, holds: bool, failure: str) -> None:
        """Note a failure unless the condition holds."""
        if not holds:
            self.failures.append(failure)


Attack = Callable[[Options], Report]


def print_report(name: str, options: Options, attack: Attack) -> int:
    """Run an attack and print its report; return 1 if anything gave way, else 0."""
    print(f"{name}: seed {options.seed}, commit {_commit()}", flush=True)
    started_s = time.monotonic()
    report = attack(options)
    figures = report.figures | {"time": f"{time.monotonic() - started_s:.0f} s"}
    print("\n".join(_lines(figures.items())))
    for failure in report.failures:
        print(f"FAILED  {failure}", file=sys.stderr)
    return 1 if report.failures else 0


def _lines(figures: Iterable[tuple[str, str]]) -> list[str]:
    pairs = list(figures)
    width = max(len(figure) for figure, _ in pairs)
    return [f"  {figure:{width}}  {value}" for figure, value in pairs]


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
