"""The model screen's list: what is in it, in which order; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from qwen3_chat.session import LocalModel
from qwen3_chat.shelf import ModelRow, Offer, ServerRow, Shelf
from qwen3_chat.texts import t
from qwen3_chat.ui.model_lines import fit_words

CONTEXT_STEPS: tuple[int | None, ...] = (None, *(k << 10 for k in (4, 8, 16, 32, 40, 64, 128, 256)))
"""The contexts to choose from; with None it is what suits the machine."""


@dataclass(frozen=True, slots=True)
class DemoRow:
    """The model that ships with the app."""

    choice: LocalModel


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a group of rows; names a text."""

    text: str


Line = Heading | ModelRow | DemoRow | ServerRow


@dataclass(frozen=True, slots=True)
class ModelList:
    """Everything that can be listed, before it is filtered."""

    shelf: Shelf
    demo: DemoRow
    servers: Sequence[ServerRow] = ()

    def lines(self, search: str = "") -> dict[str, Line]:
        """Return the lines by their ids, in groups; in what is searched, each word of it begins a word."""
        words = [_beginning(word) for word in search.lower().split()]
        found: dict[str, Line] = {}
        for heading, lines in self._groups():
            kept = {
                key: line
                for key, line in lines
                if all(word.search(_searched(line).lower()) for word in words)
            }
            if kept:
                found |= {heading: Heading(heading), **kept}
        return found

    def _groups(self) -> Iterator[tuple[str, list[tuple[str, Line]]]]:
        found = self.shelf.recommendation
        rows = {row.model.name: row for row in self.shelf.rows}
        missing = {name: row for name, row in rows.items() if not row.is_installed}
        best = [one.model.name for one in (found.pick, found.fast) if one is not None]
        if best and best[0] not in missing:  # what is recommended is here already
            best = []
        yield (
            "ui.models.group.best",
            [(row_id(missing[name]), missing[name]) for name in best if name in missing],
        )
        here: list[tuple[str, Line]] = [(row_id(row), row) for row in rows.values() if row.is_installed]
        yield "ui.models.group.here", [*here, ("demo", self.demo)]
        yield (
            "ui.models.group.more",
            [(row_id(row), row) for name, row in missing.items() if name not in best],
        )
        yield "ui.models.group.servers", [(f"server:{at}", row) for at, row in enumerate(self.servers)]


def row_id(row: ModelRow) -> str:
    """Name the line of a model."""
    return f"model:{row.model.name}"


def offer_of(row: ModelRow, chosen: Mapping[str, str]) -> int:
    """Return the place of the quant that was chosen for a model by its name, else of the suggested one."""
    quants = [offer.assessment.quant for offer in row.offers]
    wanted = chosen.get(row.model.name)
    return quants.index(wanted) if wanted in quants else row.suggested


def _beginning(word: str) -> re.Pattern[str]:
    """Look for words that begin so; Chinese has none that one could tell."""
    start = r"(?<![a-z0-9])" if word[0].isascii() and word[0].isalnum() else ""
    return re.compile(start + re.escape(word))


def _searched(line: Line) -> str:
    match line:
        case ModelRow(model=model, offers=offers):
            good_for = t(f"catalog.good_for.{model.good_for.value}")
            return " ".join((model.title, good_for, *(_words(offer) for offer in offers)))
        case ServerRow(title=title, detail=detail):
            return f"{title} {detail}"
        case DemoRow():
            return t("ui.models.demo")
        case Heading():
            return ""


def _words(offer: Offer) -> str:
    return f"{offer.assessment.quant} {fit_words(offer.assessment)}"
