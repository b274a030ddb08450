"""The features of engines: the rows and cells of the table in docs/serving."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from qwen3_chat.engine.remote.server_features import MissingFeature


class Feature(StrEnum):
    """A row of the table."""

    CONTEXT = "context size told"
    COUNTS = "tokens counted before sending"
    THINKING = "thinking shown apart"
    MODES = "thinking on and off"
    SWITCH = "a switch in each request"
    BUDGET = "thinking budget"
    ANSWER_NOW = "Ctrl+G: answer now"
    TOOLS = "tool calls"
    STOP = "Esc stops the server too"
    CONTINUATION = "F6: go on with a stopped reply"
    USAGE = "tokens of the reply told"
    REUSED = "reused tokens told"
    PROGRESS = "progress of reading the prompt"
    TOO_LONG = "a chat that is too long is explained"


class Cell(StrEnum):
    """The state of a feature."""

    WORKS = "works"
    OURS = "by our own parsing"
    NOT_OFFERED = "not offered"


MISSING_FEATURES = {
    Feature.CONTEXT: MissingFeature.CONTEXT,
    Feature.COUNTS: MissingFeature.COUNTS,
    Feature.SWITCH: MissingFeature.SWITCH,
    Feature.BUDGET: MissingFeature.BUDGET,
    Feature.ANSWER_NOW: MissingFeature.ANSWER_NOW,
    Feature.CONTINUATION: MissingFeature.CONTINUATION,
    Feature.USAGE: MissingFeature.USAGE,
    Feature.REUSED: MissingFeature.REUSED,
    Feature.PROGRESS: MissingFeature.PROGRESS,
    Feature.TOO_LONG: MissingFeature.TOO_LONG,
}
"""The missing features of servers by row, for the sentence that is shown in place of a feature."""

Column = Mapping[Feature, Cell]


def read_documented_cells(readme: Path) -> dict[str, dict[Feature, Cell]]:
    """Return the table of docs/serving/README.md as cells by engine and feature."""
    lines = readme.read_text("utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    heading = next(index for index, row in enumerate(rows) if row[0] == "feature")
    engines = rows[heading][1:]
    table: dict[str, dict[Feature, Cell]] = {engine: {} for engine in engines}
    for name, *cells in rows[heading + 2 : heading + 2 + len(Feature)]:
        for engine, cell in zip(engines, cells, strict=True):
            table[engine][Feature(name)] = Cell(cell)
    return table
