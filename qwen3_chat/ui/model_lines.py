"""What the model screen says of each model, as lines of it; pure."""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from qwen3_chat.catalog import Thinking
from qwen3_chat.fit import Assessment, Fit, Machine
from qwen3_chat.fit.reasons import write_context, write_speed
from qwen3_chat.library import Origin
from qwen3_chat.plain import plain
from qwen3_chat.shelf import Download, ModelRow, Offer, Phase, ServerRow
from qwen3_chat.sizes import write_size
from qwen3_chat.texts import t
from qwen3_chat.wording import SEPARATOR, byte_speed, duration

MARK_CELLS, NAME_CELLS, QUANT_CELLS, SIZE_CELLS, FIT_CELLS, SPEED_CELLS = 2, 24, 11, 8, 18, 10
SERVER_CELLS = 24
BAR_CELLS, PROGRESS_CELLS = 24, 16
QUANTS_CELLS = 64
PICK_MARK, IN_USE_MARK = "★", "▶"
COLOURS = {Fit.GOOD: "$success", Fit.TIGHT: "$warning", Fit.SLOW: "$warning", Fit.TOO_LARGE: "$error"}
DIM = "$foreground 68%"


def fit_words(assessed: Assessment) -> str:
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


def row_line(name: str, offer: Offer, mark: str = "", download: Download | None = None) -> Content:
    """Write a model with one of its quants: size, where it runs, how fast; or how far its download is."""
    assessed = offer.assessment
    beginning = (
        set_cell_size(mark, MARK_CELLS)
        + _fitted(plain(name), NAME_CELLS)
        + _fitted(plain(assessed.quant), QUANT_CELLS)
        + f"{write_size(offer.size_bytes):>{SIZE_CELLS}} "
    )
    if download is not None and download.phase is not Phase.DONE:
        return Content.assemble(beginning, (download_words(download), "$accent"))
    speed = "" if assessed.fit is Fit.TOO_LARGE else t("ui.models.speed", speed=_speed(assessed))
    gap = " " * max(0, SPEED_CELLS - cell_len(speed))
    words = set_cell_size(fit_words(assessed), FIT_CELLS)
    return Content.assemble(beginning, (words, COLOURS[assessed.fit]), (gap + speed, DIM))


def _fitted(text: str, cells: int) -> str:
    """Fill so many cells, of which the last stays empty; what is too long shows that it is cut."""
    return set_cell_size(text, cells) if cell_len(text) < cells else set_cell_size(text, cells - 2) + "… "


def _speed(assessed: Assessment) -> str:
    return write_speed(assessed.plan.tokens_per_s)


def server_line(row: ServerRow, mark: str) -> Content:
    """Write a server with its state."""
    colour = {True: "$success", False: "$error", None: DIM}[row.is_up]
    name = set_cell_size(plain(row.title), SERVER_CELLS)
    return Content.assemble(mark + name + " ", ("● ", colour), (plain(row.detail), DIM))


def server_detail(row: ServerRow) -> dict[str, str]:
    """Share out among the lines of the lower part what there is to say of a server."""
    first, *others = (*row.about, "")
    lines = dict(zip(("quants", "context", "memory"), others, strict=False))
    return {"reason": first, **lines, "said": " ".join(others[3:])}


def download_words(download: Download) -> str:
    """Say how far a download is, in the room of a row."""
    percent = f"{download.fraction:.0%}"
    match download.phase:
        case Phase.RUNNING if download.left_s is not None:
            return t("ui.models.running", percent=percent, time=duration(download.left_s))
        case Phase.PAUSED | Phase.FAILED | Phase.WAITING | Phase.CHECKING:
            return t(f"ui.models.{download.phase.value}", percent=percent)
        case _:
            return t("ui.models.starting", percent=percent)


def status_words(downloads: Iterable[Download]) -> str:
    """Say in the status bar how far the models are that are being fetched."""
    return SEPARATOR.join(f"{' '.join(one.key)} {download_words(one)}" for one in downloads)


def progress_line(download: Download) -> Content:
    """Write all that is known of a download's progress."""
    done = round(download.fraction * PROGRESS_CELLS)
    facts = [f"{download.fraction:.0%}"]
    if download.total_bytes:
        facts.append(f"{write_size(download.done_bytes)} / {write_size(download.total_bytes)}")
    if download.phase is Phase.RUNNING and download.bytes_per_s >= 1:
        facts.append(byte_speed(download.bytes_per_s))
        if download.left_s is not None:
            facts.append(t("pull.left", time=duration(download.left_s)))
    elif download.phase in (Phase.PAUSED, Phase.FAILED):
        facts.append(t("ui.models.is_paused"))
    return _bar(done, PROGRESS_CELLS, "$accent") + Content("  " + SEPARATOR.join(facts))


def reason_line(row: ModelRow, offer: Offer, machine_pick: str = "") -> Content:
    """Write why a model fits or not, and what is special about it; a pick brings its own sentence."""
    name = f"{row.model.title} {offer.assessment.quant}"
    parts = [machine_pick or t("ui.models.reason", name=name, reason=offer.assessment.reason)]
    if row.model.thinking is not Thinking.SWITCHABLE:
        parts.append(t(f"ui.models.thinking.{row.model.thinking.value}"))
    return Content(plain(SEPARATOR.join(parts)))


def origin_line(offer: Offer) -> str:
    """Say whose file it is and where it lies; nothing where there is none."""
    if offer.file is None:
        return ""
    origin = offer.file.origin
    owner = (
        "qwen3-chat" if origin is Origin.APP else t("ui.models.named") if origin is Origin.NAMED else origin
    )
    return plain(t("ui.models.origin", origin=owner, path=offer.file.path))


def quants_line(row: ModelRow, chosen: int) -> Content:
    """Write the quants of a model in the colour of their fit, the chosen one inverted; those that fit."""
    texts = [plain(f" {one.assessment.quant}{'●' if one.file else ''} ") for one in row.offers]
    first = 0
    while sum(map(cell_len, texts[first : chosen + 1])) > QUANTS_CELLS:
        first += 1
    line = Content.styled(t("ui.models.quants") + (" ‹" if first else "  "), DIM)
    room = QUANTS_CELLS
    for at in range(first, len(texts)):
        room -= cell_len(texts[at])
        if room < 0:
            return line + Content.styled("›", DIM)
        colour = COLOURS[row.offers[at].assessment.fit]
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
    cells = BAR_CELLS // len(bars)
    line = Content("")
    for label, need, free in bars:
        done = cells if need >= free else round(cells * need / free)
        facts = t("ui.models.of", need=write_size(need), free=write_size(free))
        line += Content.assemble(
            (label + " ", DIM), _bar(done, cells, "$error" if need > free else "$primary"), f" {facts}   "
        )
    return line


def _bar(done: int, cells: int, colour: str) -> Content:
    return Content.assemble(("━" * done, colour), ("━" * (cells - done), "$foreground 20%"))
