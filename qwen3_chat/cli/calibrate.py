"""`qwen3-chat doctor --calibrate`: measures how a model runs fastest on this machine, and remembers it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import aclosing

import msgspec
from rich.cells import cell_len, set_cell_size

from qwen3_chat.cli.build import load_settings_of, local_engine, model_file
from qwen3_chat.cli.options import ModelChoice
from qwen3_chat.config import load_settings, paths_from
from qwen3_chat.engine import wire
from qwen3_chat.engine.calibrating import calibrate
from qwen3_chat.engine.tuning import Aim, Trial, Tuning
from qwen3_chat.errors import EngineError
from qwen3_chat.events import EngineFailed, LoadProgressed, Notice
from qwen3_chat.plain import plain
from qwen3_chat.request import LoadedModel
from qwen3_chat.texts import t

GAP = "  "
NONE = "–"


class CalibrationFacts(msgspec.Struct, frozen=True):
    """What was measured of which model."""

    model: str
    quant: str
    device: str
    tuning: Tuning


def measure(choice: ModelChoice) -> CalibrationFacts:
    """Load the model of the choice and measure, with progress on stderr.

    Raises:
        ModelError: the model is not installed.
        EngineError: it can't be loaded, or there is too little memory beside it.
    """
    return asyncio.run(_measure(choice))


async def _measure(choice: ModelChoice) -> CalibrationFacts:
    paths = paths_from()
    settings = load_settings(paths.settings_file).settings
    file = model_file(choice, settings, paths.models)
    engine = local_engine(load_settings_of(choice, file), settings, paths)
    try:
        async with aclosing(engine.load()) as events:
            async for event in events:
                match event:
                    case EngineFailed(key=key, values=values):
                        raise EngineError(key, **values)
                    case Notice(key=key, values=values):
                        _say(t(key, **values))
                    case LoadProgressed():
                        pass
        model = engine.model
        assert model is not None
        _say(t("calibrate.begins", model=_name(model)))
        async with aclosing(calibrate(engine)) as replies:
            async for reply in replies:
                match reply:
                    case wire.Tried(_, trial, done, total):
                        _say(t("calibrate.progress", done=done, total=total, what=_what(trial)))
                    case wire.Calibrated(_, tuning) if tuning:
                        return CalibrationFacts(model.name, model.quant, model.device, tuning)
                    case wire.Calibrated():
                        break
    finally:
        await engine.close()
    raise EngineError("calibrate.no_memory")


def show(facts: CalibrationFacts) -> None:
    """Print what was measured as a table, then what was chosen."""
    tuning = facts.tuning
    print(t("calibrate.title", model=plain(f"{facts.model} {facts.quant}"), device=plain(facts.device)))
    print(t("calibrate.depth", depth=tuning.depth), end="\n\n")
    for line in table([_headings(), *map(_row, tuning.trials)]):
        print(line)
    print()
    attention = "calibrate.on" if tuning.flash_attention else "calibrate.off"
    print(
        t(
            "calibrate.chosen",
            attention=t(attention),
            threads=tuning.n_threads,
            prompt_threads=tuning.n_prompt_threads or NONE,
            tokens=tuning.n_ubatch,
        )
    )
    if not tuning.is_complete:
        print(t("calibrate.busy"))


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out rows of equally many cells, the first column to the left, the others to the right."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        GAP.join(
            " " * (width - cell_len(cell)) + cell if index else set_cell_size(cell, width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _headings() -> list[str]:
    names = ("attention", "kv", "threads", "ubatch", "reading", "writing")
    return [t(f"calibrate.column.{name}") for name in names]


def _row(trial: Trial) -> list[str]:
    return [
        t("calibrate.on") if trial.flash_attention else t("calibrate.off"),
        trial.kv_type,
        str(trial.n_threads),
        str(trial.n_ubatch) if trial.aim is Aim.UBATCH else NONE,
        _speed(trial.prompt_tokens_per_s),
        _speed(trial.reply_tokens_per_s),
    ]


def _speed(tokens_per_s: float) -> str:
    return f"{tokens_per_s:,.0f}" if tokens_per_s >= 100 else f"{tokens_per_s:.1f}" if tokens_per_s else NONE


def _what(trial: Trial) -> str:
    match trial.aim:
        case Aim.ATTENTION:
            attention = t("calibrate.on") if trial.flash_attention else t("calibrate.off")
            return t("calibrate.tried.attention", attention=attention, kv=trial.kv_type)
        case Aim.THREADS:
            return t("calibrate.tried.threads", threads=trial.n_threads)
        case Aim.UBATCH:
            return t("calibrate.tried.ubatch", tokens=trial.n_ubatch)


def _name(model: LoadedModel) -> str:
    return f"{model.name} {model.quant}"


def _say(text: str) -> None:
    print(plain(text), file=sys.stderr, flush=True)
