"""`qwen3-chat pull`: the download of a model, with a progress bar or JSON lines."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from qwen3_chat.cli.composition import probe_this_machine, probing_status
from qwen3_chat.cli.engine_composition import configured_model_dirs
from qwen3_chat.cli.json_output import print_json
from qwen3_chat.config import Paths, find_paths
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import Qwen3ChatError, UsageError
from qwen3_chat.models.catalog import ModelReference, find_family_model
from qwen3_chat.models.fit import best_quant
from qwen3_chat.models.hub import (
    CopyUsed,
    DownloadDelayed,
    DownloadProgressed,
    FileChecked,
    Hub,
    HubFile,
    ModelPulled,
    PullEvent,
    PullTarget,
    Source,
    SourceAsked,
    hubs_from,
    mirror_hosts,
    pull_target,
    resolve_target,
)
from qwen3_chat.models.hub.retry_policy import DEFAULT_RETRY_POLICY
from qwen3_chat.models.library import ModelDirs, find_local_copies, list_installed_models, matches_reference
from qwen3_chat.models.picker.repository_variants import assess_variants, fetch_metadata
from qwen3_chat.record_copies import replace
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR, format_duration, format_size, format_throughput
from qwen3_chat.texts.terminal_safe import terminal_safe

ANY_SOURCE = "auto"
LOG_STEP_PERCENT = 10
FIT_TIMEOUT_S = 10
"""The time after which a download no longer waits for the fit of its model."""


class PullFailed(msgspec.Struct, frozen=True, tag_field="type", tag="pull_failed"):
    """The last line of `pull --json` where the download failed."""

    message: str
    error_code: ErrorCode


def pull_model(name: str, source_name: str, as_json: bool) -> int:
    """Download a model and return the exit status.

    Raises:
        Qwen3ChatError: it could not be downloaded.
    """
    try:
        source = _parse_source(source_name)
        _refuse_local_file(name)
        pulled = asyncio.run(_pull(ModelReference.parse(name, mirror_hosts(os.environ)), source, as_json))
    except Qwen3ChatError as error:
        if as_json:
            print_json(PullFailed(str(error), error.code))
        raise
    except KeyboardInterrupt:
        if as_json:
            print_json(PullFailed(t("pull.kept"), ErrorCode.INTERRUPTED))
        print(t("pull.kept"), file=sys.stderr)
        raise
    if not as_json:
        _print_result(pulled)
    return 0


def _refuse_local_file(name: str) -> None:
    """Refuse the path of a file that is there: it needs no download."""
    with suppress(OSError, ValueError, RuntimeError):  # what no path can be is none
        path = Path(name.strip()).expanduser()
        if len(path.parts) > 1 and path.suffix.lower() == ".gguf" and path.is_file():
            raise UsageError(ErrorCode.DOWNLOAD_NAMES_FILE, path=path)


def _parse_source(name: str) -> Source | None:
    try:
        return None if name == ANY_SOURCE else Source(name)
    except ValueError as error:
        raise UsageError(ErrorCode.SOURCE_UNKNOWN, name=name) from error


async def _pull(reference: ModelReference, source: Source | None, as_json: bool) -> ModelPulled:
    paths = find_paths()
    model_dirs = configured_model_dirs()
    hubs = hubs_from(os.environ, source)
    exact_reference = await _choose_quant(reference, paths)
    if not as_json and exact_reference != reference:
        chosen = t("pull.chosen", quant=exact_reference.selector, model=reference.name)
        print(terminal_safe(chosen), file=sys.stderr, flush=True)
    with _lookup_status(reference, as_json):
        target = await resolve_target(exact_reference, hubs, DEFAULT_RETRY_POLICY)
    if not as_json and reference.is_repository:
        await _print_fit(target, hubs, paths)
    with _report_json() if as_json else _report_progress(target) as report:
        return await pull_target(target, hubs, paths.models, report, partial(_copies, model_dirs))


async def _choose_quant(reference: ModelReference, paths: Paths) -> ModelReference:
    """Add the quant that suits this machine to a model of the family that is named without one."""
    model = find_family_model(reference.name) if reference.selector is None else None
    if model is None:
        return reference
    with probing_status() as on_measure:
        hardware = await probe_this_machine(paths, on_measure)
    return replace(reference, selector=best_quant(model, hardware.steady_machine).quant)


async def _print_fit(target: PullTarget, hubs: Sequence[Hub], paths: Paths) -> None:
    """Print the fit of a model to this machine; one that is not in the catalogue is judged by its header."""
    with suppress(Qwen3ChatError, TimeoutError):  # the download itself will report the error
        async with asyncio.timeout(FIT_TIMEOUT_S):
            model = find_family_model(target.model)
            if model is None and not any(_copies(configured_model_dirs(), target.files[0])):
                model = await fetch_metadata(target, hubs, DEFAULT_RETRY_POLICY)
        if model is not None:
            with probing_status() as on_measure:
                hardware = await probe_this_machine(paths, on_measure)
            (variant,) = assess_variants(model, (target,), hardware.machine, None)
            print(terminal_safe(t("pull.fit", reason=variant.assessment.reason)), file=sys.stderr)


def _copies(model_dirs: ModelDirs, file: HubFile) -> Iterator[Path]:
    return find_local_copies(file.name, file.size_bytes, file.sha256, model_dirs)


def _lookup_status(reference: ModelReference, as_json: bool) -> AbstractContextManager[object]:
    console = Console(stderr=True)
    if as_json or not console.is_terminal:
        return nullcontext()
    return console.status(Text(terminal_safe(t("pull.looking_up", wanted=reference))))


@contextmanager
def _report_json() -> Iterator[Callable[[PullEvent], None]]:
    yield print_json


class _ProgressView(Protocol):
    def show(self, percent: float, facts: str) -> None: ...

    def show_text(self, text: str) -> None: ...

    def show_waiting(self, text: str) -> None: ...


@contextmanager
def _report_progress(target: PullTarget) -> Iterator[Callable[[PullEvent], None]]:
    console = Console(stderr=True)
    title = terminal_safe(" ".join((target.model, target.quant)))
    if not console.is_terminal:
        yield partial(_show, _ProgressLog(title))
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[facts]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield partial(_show, _ProgressBar(progress, progress.add_task(title, total=100, facts="")))


class _ProgressBar:
    """A progress bar for a terminal."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def show(self, percent: float, facts: str) -> None:
        self._progress.update(self._task, completed=percent, facts=facts)

    def show_text(self, text: str) -> None:
        self._progress.update(self._task, facts=text)

    def show_waiting(self, text: str) -> None:
        self.show_text(text)


class _ProgressLog:
    """An occasional line of progress, for a log."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._next_percent = 0.0
        self._last_text = ""

    def show(self, percent: float, facts: str) -> None:
        if percent >= self._next_percent:
            self._next_percent = percent - percent % LOG_STEP_PERCENT + LOG_STEP_PERCENT
            self.show_text(f"{self._title}  {facts}")

    def show_text(self, text: str) -> None:
        if text != self._last_text:
            self._last_text = text
            print(text, file=sys.stderr, flush=True)

    def show_waiting(self, text: str) -> None:
        pass


def _show(view: _ProgressView, event: PullEvent) -> None:
    match event:
        case FileChecked(file=file, done_bytes=done, total_bytes=total):
            view.show(100 * done / total, terminal_safe(t("pull.checking", file=file)))
        case SourceAsked(source=source):
            view.show_waiting(terminal_safe(t("pull.asking", host=source)))
        case DownloadProgressed(done_bytes=done, total_bytes=total):
            view.show(100 * done / total, _progress_text(event))
        case DownloadDelayed(reason=reason, wait_s=wait_s):
            view.show_text(
                terminal_safe(
                    t("pull.again", reason=reason, wait=format_duration(wait_s)) if wait_s else reason
                )
            )
        case CopyUsed(path=path):
            view.show_text(terminal_safe(t("pull.copy", path=path)))
        case ModelPulled():
            pass


def _progress_text(event: DownloadProgressed) -> str:
    facts = [f"{format_size(event.done_bytes)} / {format_size(event.total_bytes)}"]
    if event.bytes_per_s >= 1:
        facts.append(format_throughput(event.bytes_per_s))
    if event.left_s is not None and event.done_bytes < event.total_bytes:
        facts.append(t("pull.left", time=format_duration(event.left_s)))
    return SEPARATOR.join((*facts, event.source))


def _reference_of(pulled: ModelPulled) -> ModelReference | None:
    """Return the shortest reference by which `--model` finds the file that was pulled."""
    models = list_installed_models(find_paths().models)
    model = next((model for model in models if str(model.path) == pulled.path), None)
    if model is None:
        return None
    named = ModelReference(pulled.model, pulled.quant)
    newest = next((model for model in models if matches_reference(model, named)), None)
    return named if newest is model or not model.repository else ModelReference(model.repository, model.quant)


def _print_result(pulled: ModelPulled) -> None:
    print(terminal_safe(t("pull.here", name=pulled.model, quant=pulled.quant, path=pulled.path)))
    reference = _reference_of(pulled)
    if reference is not None:
        print(terminal_safe(t("pull.start", model=reference)))
    else:
        print(terminal_safe(t("pull.start_file", path=pulled.path)))
