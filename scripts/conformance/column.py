"""Holds the conversations with one engine, one after the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from conformance.bench import Bench, Unfit
from conformance.conversations import CONVERSATIONS
from conformance.features import Cell, Column, Feature


async def held(bench: Bench) -> AsyncGenerator[tuple[str, str], None]:
    """Hold all conversations; yield the name of each, with what was wrong, "" where nothing was."""
    await bench.load()
    for conversation in CONVERSATIONS:
        name = conversation.__name__.replace("_", " ")
        try:
            await conversation(bench)
        except Unfit as error:
            yield name, str(error)
        else:
            yield name, ""


def column(bench: Bench) -> Column:
    """Give the column of the table; progress that was never told is not offered."""
    bench.cells.setdefault(Feature.PROGRESS, Cell.NOT_OFFERED)
    return {feature: bench.cells[feature] for feature in Feature if feature in bench.cells}
