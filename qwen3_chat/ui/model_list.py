"""The list of the model picker: its lines in their groups, with the text of each; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from qwen3_chat.models.catalog import ThinkingSupport
from qwen3_chat.models.fit import Assessment, Fit, Machine
from qwen3_chat.models.fit.assessment import write_context, write_speed
from qwen3_chat.models.library import Origin
from qwen3_chat.models.picker import Download, DownloadPhase, ModelRow, ModelTable, ModelVariant, ServerRow
from qwen3_chat.session import LocalModel
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR, format_duration, format_size, format_throughput
from qwen3_chat.texts.terminal_safe import terminal_safe

MARK_CELLS, NAME_CELLS, QUANT_CELLS, SIZE_CELLS, FIT_CELLS, SPEED_CELLS = 2, 24, 11, 8, 18, 10
SERVER_CELLS = 24
MEMORY_BAR_CELLS, PROGRESS_BAR_CELLS = 24, 16
QUANTS_CELLS = 64
PICK_MARK, IN_USE_MARK = "★", "▶"
FIT_COLOURS = {Fit.GOOD: "$success", Fit.TIGHT: "$warning", Fit.SLOW: "$warning", Fit.TOO_LARGE: "$error"}
DIM = "$foreground 68%"


def fit_label(assessed: Assessment) -> str:
    """Say in two or three words where a model runs here, or why it doesn't."""
    match assessed.fit:
        case Fit.TOO_LARGE:
            return t("ui.models.too_large")
        case Fit.SLOW:
            return t("ui.models.slow")
        case Fit.TIGHT:
            where = t(f"ui.models.{assessed.plan.placement.value}")
            return f"{where} {write_context(assessed.plan.context).split()[0]}"
        case Fit.GOOD:
            return t(f"ui.models.{assessed.plan.placement.value}")


def row_line(name: str, variant: ModelVariant, mark: str = "", download: Download | None = None) -> Content:
    """Write a model with one of its quants: size, where it runs, how fast; or how far its download is."""
    assessed = variant.assessment
    beginning = (
        set_cell_size(mark, MARK_CELLS)
        + _fill_cells(terminal_safe(name), NAME_CELLS)
        + _fill_cells(terminal_safe(assessed.quant), QUANT_CELLS)
        + f"{format_size(variant.size_bytes):>{SIZE_CELLS}} "
    )
    if download is not None and download.phase is not DownloadPhase.DONE:
        return Content.assemble(beginning, (download_label(download), "$accent"))
    speed = "" if assessed.fit is Fit.TOO_LARGE else t("ui.models.speed", speed=_speed(assessed))
    gap = " " * max(0, SPEED_CELLS - cell_len(speed))
    words = set_cell_size(fit_label(assessed), FIT_CELLS)
    return Content.assemble(beginning, (words, FIT_COLOURS[assessed.fit]), (gap + speed, DIM))


def _fill_cells(text: str, cells: int) -> str:
    """Fill so many cells, of which the last stays empty; what is too long shows that it is cut."""
    return set_cell_size(text, cells) if cell_len(text) < cells else set_cell_size(text, cells - 2) + "… "


def _speed(assessed: Assessment) -> str:
    return write_speed(assessed.plan.tokens_per_s)


def server_line(row: ServerRow, mark: str) -> Content:
    """Write a server with its state."""
    colour = {True: "$success", False: "$error", None: DIM}[row.is_reachable]
    name = set_cell_size(terminal_safe(row.title), SERVER_CELLS)
    return Content.assemble(mark + name + " ", ("● ", colour), (terminal_safe(row.detail), DIM))


def server_detail(row: ServerRow) -> dict[str, str]:
    """Share out among the lines of the lower part what there is to say of a server."""
    first, *others = (*row.about, "")
    lines = dict(zip(("quants", "context", "memory"), others, strict=False))
    return {"reason": first, **lines, "said": " ".join(others[3:])}


def download_label(download: Download) -> str:
    """Say how far a download is, in the room of a row."""
    percent = f"{download.fraction:.0%}"
    match download.phase:
        case DownloadPhase.RUNNING if download.left_s is not None:
            return t("ui.models.running", percent=percent, time=format_duration(download.left_s))
        case DownloadPhase.PAUSED | DownloadPhase.FAILED | DownloadPhase.WAITING | DownloadPhase.CHECKING:
            return t(f"ui.models.{download.phase.value}", percent=percent)
        case _:
            return t("ui.models.starting", percent=percent)


def downloads_label(downloads: Iterable[Download]) -> str:
    """Say in the status bar how far the models are that are being fetched."""
    return SEPARATOR.join(f"{' '.join(one.key)} {download_label(one)}" for one in downloads)


def progress_line(download: Download) -> Content:
    """Write all that is known of a download's progress."""
    done = round(download.fraction * PROGRESS_BAR_CELLS)
    facts = [f"{download.fraction:.0%}"]
    if download.total_bytes:
        facts.append(f"{format_size(download.done_bytes)} / {format_size(download.total_bytes)}")
    if download.phase is DownloadPhase.RUNNING and download.bytes_per_s >= 1:
        facts.append(format_throughput(download.bytes_per_s))
        if download.left_s is not None:
            facts.append(t("pull.left", time=format_duration(download.left_s)))
    elif download.phase in (DownloadPhase.PAUSED, DownloadPhase.FAILED):
        facts.append(t("ui.models.is_paused"))
    return _bar(done, PROGRESS_BAR_CELLS, "$accent") + Content("  " + SEPARATOR.join(facts))


def reason_line(row: ModelRow, variant: ModelVariant, pick_reason: str = "") -> Content:
    """Write why a model fits or not, and what is special about it; a pick brings its own sentence."""
    name = f"{row.model.title} {variant.assessment.quant}"
    parts = [pick_reason or t("ui.models.reason", name=name, reason=variant.assessment.reason)]
    if row.model.thinking is not ThinkingSupport.SWITCHABLE:
        parts.append(t(f"ui.models.thinking.{row.model.thinking.value}"))
    return Content(terminal_safe(SEPARATOR.join(parts)))


def origin_line(variant: ModelVariant) -> str:
    """Say whose file it is and where it lies; nothing where there is none."""
    if variant.file is None:
        return ""
    origin = variant.file.origin
    owner = (
        "qwen3-chat"
        if origin is Origin.APP
        else t("ui.models.named")
        if origin is Origin.CONFIGURED
        else origin
    )
    return terminal_safe(t("ui.models.origin", origin=owner, path=variant.file.path))


def quants_line(row: ModelRow, chosen: int) -> Content:
    """Write the quants of a model in the colour of their fit, the chosen one inverted; those that fit."""
    texts = [terminal_safe(f" {one.assessment.quant}{'●' if one.file else ''} ") for one in row.variants]
    first = 0
    while sum(map(cell_len, texts[first : chosen + 1])) > QUANTS_CELLS:
        first += 1
    line = Content.styled(t("ui.models.quants") + (" ‹" if first else "  "), DIM)
    room = QUANTS_CELLS
    for at in range(first, len(texts)):
        room -= cell_len(texts[at])
        if room < 0:
            return line + Content.styled("›", DIM)
        colour = FIT_COLOURS[row.variants[at].assessment.fit]
        line += Content.styled(texts[at], f"{colour} reverse bold" if at == chosen else colour)
    return line


def context_line(steps: tuple[int | None, ...], chosen: int) -> Content:
    """Write the contexts that can be asked for, the chosen one inverted."""
    line = Content.styled(t("ui.models.context") + "  ", DIM)
    for at, n_ctx in enumerate(steps):
        text = f" {t('ui.models.auto') if n_ctx is None else f'{n_ctx // 1024}K'} "
        line += Content.styled(text, "$primary reverse bold" if at == chosen else "$foreground")
    return line


def memory_line(machine: Machine, assessed: Assessment) -> Content:
    """Write the memory that a model needs beside what is free for it, as bars; red where it is too much."""
    plan = assessed.plan
    if machine.gpus and not machine.is_unified:
        bars = [(t("ui.models.vram"), plan.gpu_bytes, machine.usable_gpu_bytes)]
        bars.append((t("ui.models.ram"), plan.ram_bytes, machine.usable_ram_bytes))
    else:
        bars = [(t("ui.models.ram"), plan.need_bytes, machine.usable_bytes)]
    cells = MEMORY_BAR_CELLS // len(bars)
    line = Content("")
    for label, need, free in bars:
        done = cells if need >= free else round(cells * need / free)
        facts = t("ui.models.of", need=format_size(need), free=format_size(free))
        line += Content.assemble(
            (label + " ", DIM), _bar(done, cells, "$error" if need > free else "$primary"), f" {facts}   "
        )
    return line


def _bar(done: int, cells: int, colour: str) -> Content:
    return Content.assemble(("━" * done, colour), ("━" * (cells - done), "$foreground 20%"))


CONTEXT_STEPS: tuple[int | None, ...] = (None, *(k << 10 for k in (4, 8, 16, 32, 40, 64, 128, 256)))
"""The contexts to choose from; with None it is what suits the machine."""


@dataclass(frozen=True, slots=True)
class DemoRow:
    """The model that ships with the app."""

    choice: LocalModel


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a group of rows; names a text."""

    text_key: str


Line = Heading | ModelRow | DemoRow | ServerRow


@dataclass(frozen=True, slots=True)
class ModelList:
    """Everything that can be listed, before it is filtered."""

    table: ModelTable
    demo: DemoRow
    servers: Sequence[ServerRow] = ()

    def lines(self, search: str = "") -> dict[str, Line]:
        """Return the lines by their ids, in groups; in what is searched, each word of it begins a word."""
        words = [_word_start_pattern(word) for word in search.lower().split()]
        found: dict[str, Line] = {}
        for heading, lines in self._groups():
            kept = {
                key: line
                for key, line in lines
                if all(word.search(_searchable_text(line).lower()) for word in words)
            }
            if kept:
                found |= {heading: Heading(heading), **kept}
        return found

    def _groups(self) -> Iterator[tuple[str, list[tuple[str, Line]]]]:
        found = self.table.recommendation
        rows = {row.model.name: row for row in self.table.rows}
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


def chosen_variant_index(row: ModelRow, chosen: Mapping[str, str]) -> int:
    """Return the place of the quant that was chosen for a model by its name, else of the suggested one."""
    quants = [offer.assessment.quant for offer in row.variants]
    wanted = chosen.get(row.model.name)
    return quants.index(wanted) if wanted in quants else row.suggested_index


def _word_start_pattern(word: str) -> re.Pattern[str]:
    """Look for words that begin so; Chinese has none that one could tell."""
    start = r"(?<![a-z0-9])" if word[0].isascii() and word[0].isalnum() else ""
    return re.compile(start + re.escape(word))


def _searchable_text(line: Line) -> str:
    match line:
        case ModelRow(model=model, variants=offers):
            good_for = t(f"catalog.good_for.{model.good_for.value}")
            return " ".join((model.title, good_for, *(_variant_text(offer) for offer in offers)))
        case ServerRow(title=title, detail=detail):
            return f"{title} {detail}"
        case DemoRow():
            return t("ui.models.demo")
        case Heading():
            return ""


def _variant_text(variant: ModelVariant) -> str:
    return f"{variant.assessment.quant} {fit_label(variant.assessment)}"
