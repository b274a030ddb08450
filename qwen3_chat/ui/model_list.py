"""The list of the model picker: its lines in groups, with the text of each line; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from qwen3_chat.demo import DEMO_REFERENCE
from qwen3_chat.models.catalog import ThinkingSupport
from qwen3_chat.models.fit import Assessment, Fit, Machine
from qwen3_chat.models.fit.assessment import format_context
from qwen3_chat.models.fit.drafts import DraftAssessment
from qwen3_chat.models.library import Origin
from qwen3_chat.models.picker import (
    INSTALLED_MARK,
    Download,
    DownloadPhase,
    ModelRow,
    ModelTable,
    ModelVariant,
    ServerRow,
)
from qwen3_chat.models.picker.draft_choice import DraftChoice, DraftState, draft_cost
from qwen3_chat.request import AUTO_DRAFT_MODEL, NO_DRAFT_MODEL, LoadedModel
from qwen3_chat.session import LocalModel
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import (
    SEPARATOR,
    format_duration,
    format_size,
    format_throughput,
    speed_figure,
)
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.ui.textual_compat.list_lines import FittingLine
from qwen3_chat.ui.themes import DIM

MARK_CELLS, NAME_CELLS, QUANT_CELLS, SIZE_CELLS, FIT_CELLS, SPEED_CELLS = 2, 24, 11, 8, 18, 10
SHORT_NAME_CELLS = 22
"""The column of names in a line that has no room for the words on where a model runs; the detail has them."""
SERVER_CELLS = 24
MEMORY_BAR_CELLS, PROGRESS_BAR_CELLS = 24, 16
QUANTS_CELLS = 64
PICK_MARK, IN_USE_MARK = "★", "▶"
FIT_COLOURS = {Fit.GOOD: "$success", Fit.TIGHT: "$warning", Fit.SLOW: "$warning", Fit.TOO_LARGE: "$error"}
CONTEXT_STEPS: tuple[int | None, ...] = (None, *(k << 10 for k in (4, 8, 16, 32, 40, 64, 128, 256)))
"""The contexts to choose from; None is the context that suits the machine."""


@dataclass(frozen=True, slots=True)
class DemoRow:
    """The row of the demo, the model that ships with the app."""

    choice: LocalModel


@dataclass(frozen=True, slots=True)
class FileRow:
    """The row of a file of any kind that the chat uses, or has used, and that no row of a model has."""

    title: str
    choice: LocalModel


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a group of rows, by its text key."""

    text_key: str


Line = Heading | ModelRow | DemoRow | FileRow | ServerRow


@dataclass(frozen=True, slots=True)
class ModelList:
    """All rows of the list, before a search filters them."""

    table: ModelTable
    demo: DemoRow
    servers: Sequence[ServerRow] = ()
    files: Sequence[FileRow] = ()

    def lines(self, search: str = "") -> dict[str, Line]:
        """Return the lines by their ids, in groups.

        Every word of the search must begin a word of a line.
        """
        patterns = [_word_start_pattern(word) for word in search.lower().split()]
        lines: dict[str, Line] = {}
        for heading, group in self._groups():
            matches = {
                line_id: line
                for line_id, line in group
                if all(pattern.search(_searchable_text(line).lower()) for pattern in patterns)
            }
            if matches:
                lines |= {heading: Heading(heading), **matches}
        return lines

    def _groups(self) -> Iterator[tuple[str, list[tuple[str, Line]]]]:
        recommendation = self.table.recommendation
        rows = {row.model.name: row for row in self.table.rows}
        missing = {name: row for name, row in rows.items() if not row.is_installed}
        best = list(dict.fromkeys(offer.assessment.model.name for offer in recommendation.offers))
        if best and best[0] not in missing:  # the recommended model is installed already
            best = []
        yield (
            "ui.models.group.best",
            [(row_id(missing[name]), missing[name]) for name in best if name in missing],
        )
        installed: list[tuple[str, Line]] = [(row_id(row), row) for row in rows.values() if row.is_installed]
        files: list[tuple[str, Line]] = [(f"file:{index}", row) for index, row in enumerate(self.files)]
        yield "ui.models.group.here", [*installed, *files, (DEMO_REFERENCE, self.demo)]
        yield (
            "ui.models.group.more",
            [(row_id(row), row) for name, row in missing.items() if name not in best],
        )
        yield "ui.models.group.servers", [(f"server:{index}", row) for index, row in enumerate(self.servers)]


def row_id(row: ModelRow) -> str:
    """Return the id of a model's line."""
    return f"model:{row.model.name}"


def chosen_variant_index(row: ModelRow, chosen: Mapping[str, str]) -> int:
    """Return the index of the quant chosen for a model by its name, or of the suggested one."""
    quants = [variant.assessment.quant for variant in row.variants]
    quant = chosen.get(row.model.name)
    return quants.index(quant) if quant in quants else row.suggested_index


def _word_start_pattern(word: str) -> re.Pattern[str]:
    """Return a pattern that matches at the start of a word; anywhere for Chinese, which has no spaces."""
    start = r"(?<![a-z0-9])" if word[0].isascii() and word[0].isalnum() else ""
    return re.compile(start + re.escape(word))


def _searchable_text(line: Line) -> str:
    match line:
        case ModelRow(model=model, variants=variants):
            good_for = t(f"catalog.good_for.{model.good_for.value}")
            return " ".join((model.title, good_for, *(_variant_text(variant) for variant in variants)))
        case ServerRow(title=title, detail=detail):
            return f"{title} {detail}"
        case FileRow(title=title):
            return title
        case DemoRow():
            return t("ui.models.demo")
        case Heading():
            return ""


def _variant_text(variant: ModelVariant) -> str:
    return f"{variant.assessment.quant} {fit_label(variant.assessment)}"


def fit_label(assessment: Assessment, *, is_offered: bool = False) -> str:
    """Return in two or three words where a model runs on this machine, or why it does not.

    One that `is_offered` fits once other programs free the memory that they take at the moment.
    """
    match assessment.fit:
        case Fit.TOO_LARGE if is_offered:
            return t("ui.models.too_large_now")
        case Fit.TOO_LARGE:
            return t("ui.models.too_large")
        case Fit.SLOW:
            return t("ui.models.slow")
        case Fit.TIGHT:
            where = t(f"ui.models.{assessment.plan.placement.value}")
            return f"{where} {format_context(assessment.plan.context).split()[0]}"
        case Fit.GOOD:
            return t(f"ui.models.{assessment.plan.placement.value}")


def row_line(
    name: str,
    variant: ModelVariant,
    mark: str = "",
    download: Download | None = None,
    *,
    is_offered: bool = False,
) -> FittingLine:
    """Return the line of a model in one quant: its size, fit and speed, or the progress of its download."""
    assessment = variant.assessment
    shown_mark, shown_name = set_cell_size(mark, MARK_CELLS), terminal_safe(name)
    quant, size = terminal_safe(assessment.quant), f"{format_size(variant.size_bytes):>{SIZE_CELLS}} "
    beginning = shown_mark + _fill_cells(shown_name, NAME_CELLS) + _fill_cells(quant, QUANT_CELLS) + size
    short_name = shown_mark + _fill_cells(shown_name, SHORT_NAME_CELLS)
    if download is not None and download.phase is not DownloadPhase.DONE:
        progress = (download_label(download), "$accent")
        return FittingLine(Content.assemble(beginning, progress), Content.assemble(short_name, progress))
    key = "ui.models.observed_speed" if assessment.plan.is_observed else "ui.models.speed"
    is_too_large, colour = assessment.fit is Fit.TOO_LARGE, FIT_COLOURS[assessment.fit]
    speed = "" if is_too_large else t(key, speed=_speed(assessment))
    label = fit_label(assessment, is_offered=is_offered)
    fit = (set_cell_size(label, FIT_CELLS), colour)
    end = (t("ui.models.too_large"), colour) if is_too_large else (speed, DIM)
    return FittingLine(
        Content.assemble(beginning, fit, (_right(speed), DIM)),
        Content.assemble(short_name, _fill_cells(quant, QUANT_CELLS), size, (_right(end[0]), end[1])),
    )


def _right(text: str) -> str:
    """Return a text at the end of the column of speeds."""
    return " " * max(0, SPEED_CELLS - cell_len(text)) + text


def _fill_cells(text: str, cells: int) -> str:
    """Return a text in so many cells, the last of them empty; one that is too long ends in an ellipsis."""
    return set_cell_size(text, cells) if cell_len(text) < cells else set_cell_size(text, cells - 2) + "… "


def _speed(assessment: Assessment) -> str:
    return speed_figure(assessment.plan.tokens_per_s)


def server_line(row: ServerRow, mark: str) -> Content:
    """Return the line of a server with its state."""
    colour = {True: "$success", False: "$error", None: DIM}[row.is_reachable]
    name = set_cell_size(terminal_safe(row.title), SERVER_CELLS)
    return Content.assemble(mark + name + " ", ("● ", colour), (terminal_safe(row.detail), DIM))


def server_detail(row: ServerRow) -> dict[str, str]:
    """Return the facts about a server, distributed over the lines of the detail by their names."""
    first, *others = (*row.about, "")
    lines = dict(zip(("quants", "context", "memory"), others, strict=False))
    return {"reason": first, **lines, "status": " ".join(others[3:])}


def download_label(download: Download) -> str:
    """Return the progress of a download, short enough for a row."""
    percent = f"{download.fraction:.0%}"
    match download.phase:
        case DownloadPhase.RUNNING if download.left_s is not None:
            return t("ui.models.running", percent=percent, time=format_duration(download.left_s))
        case DownloadPhase.PAUSED | DownloadPhase.FAILED | DownloadPhase.WAITING | DownloadPhase.CHECKING:
            return t(f"ui.models.{download.phase.value}", percent=percent)
        case _:
            return t("ui.models.starting", percent=percent)


def downloads_label(downloads: Iterable[Download]) -> str:
    """Return the progress of several downloads, for the status bar."""
    return SEPARATOR.join(f"{download.title} {download_label(download)}" for download in downloads)


def progress_line(download: Download) -> Content:
    """Return the progress bar of a download with its figures."""
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


def reason_line(row: ModelRow, variant: ModelVariant, offer_text: str = "", *others: str) -> Content:
    """Return the reason why a model fits or not, with what is unusual: its thinking support, pictures.

    `offer_text` replaces the reason of an offered model; `others` are further facts.
    """
    name = f"{row.model.title} {variant.assessment.quant}"
    parts = [offer_text or t("ui.models.reason", name=name, reason=variant.assessment.reason)]
    if row.model.thinking is not ThinkingSupport.SWITCHABLE and not offer_text:  # which says it already
        parts.append(t(f"ui.models.thinking.{row.model.thinking.value}"))
    if row.model.reads_text_only:
        parts.append(t("ui.models.text_only"))
    parts += filter(None, others)
    return Content(terminal_safe(SEPARATOR.join(parts)))


def origin_line(variant: ModelVariant) -> str:
    """Return the owner and the path of a model's file; empty if there is no file."""
    if variant.file is None:
        return ""
    origin = variant.file.origin
    owner = t("ui.models.named") if origin is Origin.CONFIGURED else origin
    return terminal_safe(t("ui.models.origin", origin=owner, path=variant.file.path))


def quants_line(row: ModelRow, chosen: int) -> Content:
    """Return the quants of a model in the colours of their fit, the chosen one inverted.

    As many are shown as there is room for; marks show that there are more on a side.
    """
    texts = [
        terminal_safe(f" {variant.assessment.quant}{INSTALLED_MARK if variant.file else ''} ")
        for variant in row.variants
    ]
    first = 0
    while sum(map(cell_len, texts[first : chosen + 1])) > QUANTS_CELLS:
        first += 1
    line = Content.styled(t("ui.models.quants") + (" ‹" if first else "  "), DIM)
    room = QUANTS_CELLS
    for index in range(first, len(texts)):
        room -= cell_len(texts[index])
        if room < 0:
            return line + Content.styled("›", DIM)
        colour = FIT_COLOURS[row.variants[index].assessment.fit]
        line += Content.styled(texts[index], f"{colour} reverse bold" if index == chosen else colour)
    return line


def context_line(steps: tuple[int | None, ...], chosen: int) -> Content:
    """Return the contexts that can be chosen, the chosen one inverted."""
    line = Content.styled(t("ui.models.context") + "  ", DIM)
    for index, n_ctx in enumerate(steps):
        text = f" {t('ui.models.auto') if n_ctx is None else f'{n_ctx // 1024}K'} "
        line += Content.styled(text, "$primary reverse bold" if index == chosen else "$foreground")
    return line


def draft_value_label(value: str) -> str:
    """Return a value for the model that drafts as it is shown: a name, or the word for none or for auto."""
    return t(f"ui.drafts.{value}") if value in (NO_DRAFT_MODEL, AUTO_DRAFT_MODEL) else value


def draft_line(
    option: DraftChoice, hint: DraftAssessment | None = None, loaded: LoadedModel | None = None
) -> Content:
    """Return the model that is to draft and what it comes to.

    `hint` is one that could where none is set. `loaded` is the model of the line, if it is in use: what does
    not hold for it yet is said so.
    """
    line = Content.styled(t("ui.models.draft") + "  ", DIM)
    line += Content.styled(f" {terminal_safe(draft_value_label(option.value))} ", "$primary reverse bold")
    note, colour = option.phrase, "$warning" if option.state.is_problem else DIM
    if not (option.state.is_problem or option.state.can_be_chosen):
        note = t("ui.drafts.left_out", reason=note)
    if option.state is DraftState.OFF:
        note = ""
        if hint is not None:
            note = t("ui.models.draft_hint", draft=hint.candidate.model.name, cost=draft_cost(hint))
    is_to_draft = option.state is DraftState.DRAFTS
    if loaded is not None and bool(loaded.draft) != is_to_draft and option.state.can_be_chosen:
        note, colour = t("ui.drafts.pending"), "$warning"
    return line + Content.styled(f" {terminal_safe(note)}", colour)


def memory_line(machine: Machine, assessment: Assessment) -> Content:
    """Return the memory that a model needs beside the free memory, as bars, red where it exceeds it."""
    plan = assessment.plan
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
