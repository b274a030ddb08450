"""The results of all conversations with one engine, one column of the table."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from conformance.bench import Bench, Unfit
from conformance.conversations import CONVERSATIONS
from conformance.features import Cell, Column, Feature
from qwen3_chat.errors import EngineError


async def hold_conversations(bench: Bench) -> AsyncGenerator[tuple[str, str], None]:
    """Hold all conversations; yield the name of each with its failure, or an empty text."""
    await bench.load()
    for conversation in CONVERSATIONS:
        name = conversation.__name__.replace("_", " ")
        try:
            await conversation(bench)
        except (Unfit, EngineError) as error:
            yield name, str(error)
        else:
            yield name, ""


def column(bench: Bench) -> Column:
    """Return the column of the table; progress that was never reported counts as not offered."""
    bench.cells.setdefault(Feature.PROGRESS, Cell.NOT_OFFERED)
    return {feature: bench.cells[feature] for feature in Feature if feature in bench.cells}
