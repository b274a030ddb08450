"""`qwen3-chat doctor --calibrate`: the fastest settings of a model on this machine, measured and stored."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from functools import partial

import msgspec
from rich.cells import cell_len, set_cell_size

from qwen3_chat.cli.engine_composition import make_local_engine, model_load_settings, resolve_model_file
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.config import find_paths, read_settings
from qwen3_chat.engine import wire
from qwen3_chat.engine.library_choice import Measurement
from qwen3_chat.engine.library_trial import LibraryTrial
from qwen3_chat.engine.native_libraries import IK_NAME
from qwen3_chat.engine.tuning import Trial, Tuning, TuningParameter
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import EngineEvent, Notice
from qwen3_chat.request import LLAMA_CPP_NAME, LoadedModel
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe

COLUMN_GAP = "  "
NO_VALUE = "–"


class CalibrationReport(msgspec.Struct, frozen=True):
    """The measurements of a model on this machine."""

    model: str
    quant: str
    device: str
    tuning: Tuning
    library: str = LLAMA_CPP_NAME
    comparison: Measurement | None = None
    """The comparison with the faster library, None where there is none."""
    failure: str | None = None
    """The sentence that tells why the faster library is not used, if it failed."""


def run_calibration(choice: ModelChoice) -> CalibrationReport:
    """Load the chosen model and measure it, with progress on stderr.

    Raises:
        ModelError: the model is not installed.
        EngineError: it can't be loaded, or too little memory is free beside it.
    """
    return asyncio.run(_run_calibration(choice))


async def _run_calibration(choice: ModelChoice) -> CalibrationReport:
    paths = find_paths()
    settings = read_settings(paths.settings_file).settings
    file = resolve_model_file(choice, settings, paths.models)
    engine = make_local_engine(model_load_settings(choice, file), settings, paths)
    try:
        await engine.load(_show_load)
        model = engine.model
        assert model is not None
        _print_progress(t("calibrate.begins", model=_model_name(model)))
        calibrated = await engine.calibrate(partial(_show_trial, model.library))
        if calibrated.tuning:
            report = CalibrationReport(
                model.name, model.quant, model.device, calibrated.tuning, model.library
            )
            match await engine.compare_libraries(calibrated.tuning, _show_library_trial):
                case Notice() as notice:
                    return msgspec.structs.replace(report, failure=t(notice.key, **notice.values))
                case comparison:
                    return msgspec.structs.replace(report, comparison=comparison)
    finally:
        await engine.close()
    raise EngineError(ErrorCode.CALIBRATION_WITHOUT_MEMORY)


def _show_load(event: EngineEvent) -> None:
    if isinstance(event, Notice):
        _print_progress(t(event.key, **event.values))


def _show_library_trial(trial: LibraryTrial) -> None:
    library = t("calibrate.repacked", library=trial.library) if trial.is_repacked else trial.library
    _show_trial(library, trial.finished)


def _show_trial(library: str, message: wire.TrialFinished) -> None:
    what = _describe_trial(message.trial)
    progress = t("calibrate.progress", library=library, done=message.done, total=message.total, what=what)
    _print_progress(progress)


def print_calibration(facts: CalibrationReport) -> None:
    """Print the measurements as a table, then the chosen settings."""
    tuning = facts.tuning
    print(
        t(
            "calibrate.title",
            model=terminal_safe(f"{facts.model} {facts.quant}"),
            device=terminal_safe(facts.device),
        )
    )
    print(t("calibrate.depth", depth=tuning.depth), end="\n\n")
    for line in align_columns([_headings(), *map(_row, tuning.trials)]):
        print(line)
    print()
    attention = "calibrate.on" if tuning.flash_attention else "calibrate.off"
    print(
        t(
            "calibrate.chosen",
            attention=t(attention),
            threads=tuning.n_threads,
            prompt_threads=tuning.n_prompt_threads or NO_VALUE,
            tokens=tuning.n_ubatch,
        )
    )
    if not tuning.is_complete:
        print(t("calibrate.busy"))
    if facts.failure is not None:
        print(terminal_safe(facts.failure))
    elif facts.comparison is not None:
        _print_comparison(facts.comparison)


def _print_comparison(comparison: Measurement) -> None:
    """Print the speeds of both libraries, and which of them is used from now on."""
    prompt, reply = comparison.prompt_tokens_per_s, comparison.reply_tokens_per_s
    rows = [
        [t("calibrate.column.library"), *(t(f"calibrate.column.{name}") for name in ("reading", "writing"))],
        [LLAMA_CPP_NAME, _speed(prompt[0]), _speed(reply[0])],
        [IK_NAME, _speed(prompt[1]), _speed(reply[1])],
    ]
    print()
    for line in align_columns(rows):
        print(line)
    print()
    name = IK_NAME if comparison.favours_fast_library else LLAMA_CPP_NAME
    print(t("calibrate.library", name=name, ratio=f"{comparison.turn_speedup:.2f}"))


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align rows of equally many cells, the first column to the left, the others to the right."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        COLUMN_GAP.join(
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
        str(trial.n_ubatch) if trial.aim is TuningParameter.UBATCH else NO_VALUE,
        _speed(trial.prompt_tokens_per_s),
        _speed(trial.reply_tokens_per_s),
    ]


def _speed(tokens_per_s: float) -> str:
    return (
        f"{tokens_per_s:,.0f}" if tokens_per_s >= 100 else f"{tokens_per_s:.1f}" if tokens_per_s else NO_VALUE
    )


def _describe_trial(trial: Trial) -> str:
    match trial.aim:
        case TuningParameter.ATTENTION:
            attention = t("calibrate.on") if trial.flash_attention else t("calibrate.off")
            return t("calibrate.tried.attention", attention=attention, kv=trial.kv_type)
        case TuningParameter.THREADS:
            return t("calibrate.tried.threads", threads=trial.n_threads)
        case TuningParameter.UBATCH:
            return t("calibrate.tried.ubatch", tokens=trial.n_ubatch)


def _model_name(model: LoadedModel) -> str:
    return f"{model.name} {model.quant}"


def _print_progress(text: str) -> None:
    print(terminal_safe(text), file=sys.stderr, flush=True)
