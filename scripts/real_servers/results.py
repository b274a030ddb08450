"""What the trials of the real servers found: kept as JSON, shown as the tables of docs/serving."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from conformance.conversations import CONVERSATIONS
from conformance.features import Feature
from real_servers.trials import TRIALS

HELD_AT_LEAST = len(CONVERSATIONS) - 1
FAILED = "✗ "
"""The mark with which a trial's outcome begins that went wrong."""


class Result(msgspec.Struct, frozen=True):
    """One server: its version, the kind it was recognised as, misses by conversation, trials, features."""

    name: str
    label: str
    version: str
    seen_as: str
    day: str
    misses: dict[str, str]
    trials: dict[str, str]
    cells: dict[str, str]

    @property
    def n_held(self) -> int:
        """The number of conversations that the server held."""
        return len(CONVERSATIONS) - len(self.misses)

    @property
    def is_good(self) -> bool:
        """True if next to all conversations were held and no trial went wrong."""
        return self.n_held >= HELD_AT_LEAST and not any(
            seen.startswith(FAILED) for seen in self.trials.values()
        )


def write_result(result: Result, folder: Path) -> None:
    """Write a result into the folder of results, over an older one of the same server."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{result.name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(result)))


def read_results(folder: Path, names: Sequence[str]) -> list[Result]:
    """Return the results of the servers that have one, in the order of the names."""
    files = [folder / f"{name}.json" for name in names]
    return [msgspec.json.decode(file.read_bytes(), type=Result) for file in files if file.is_file()]


def table_lines(results: Sequence[Result]) -> Iterator[str]:
    """Yield the lines of two Markdown tables: the trials by server, the features by server."""
    heads = ("server", "version", "recognised as", "conversations", *TRIALS)
    yield from _heading(heads)
    for result in results:
        held = f"{result.n_held} of {len(CONVERSATIONS)}"
        seen = (result.trials.get(name, "–") for name in TRIALS)
        yield _row((result.label, result.version, result.seen_as, held, *seen))
    yield ""
    yield from _heading(("feature", *(result.name for result in results)))
    for feature in Feature:
        yield _row((feature, *(result.cells.get(feature, "not seen") for result in results)))
    for result in results:
        for name, reason in result.misses.items():
            yield f"{result.name}: {name}: {reason}"


def _heading(cells: Sequence[str]) -> Iterator[str]:
    yield _row(cells)
    yield "|---" * len(cells) + "|"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
