"""`qwen3-chat pull`: downloads a model, with a progress bar or with JSON lines."""

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

from qwen3_chat.catalog import find
from qwen3_chat.cli.machine import probed
from qwen3_chat.cli.places import model_places
from qwen3_chat.config import Paths, paths_from
from qwen3_chat.errors import Qwen3ChatError, UsageError
from qwen3_chat.fit import best_quant
from qwen3_chat.hub import (
    CopyUsed,
    DownloadDelayed,
    DownloadProgressed,
    FileChecked,
    Hub,
    HubFile,
    ModelPulled,
    PullEvent,
    Source,
    SourceAsked,
    WantedModel,
    find_wanted,
    hubs_from,
    pull,
)
from qwen3_chat.hub.patience import USUAL_PATIENCE
from qwen3_chat.library import Places, answers_to, copies_of, installed_models
from qwen3_chat.plain import plain
from qwen3_chat.shelf.repository import look_into, offers_of
from qwen3_chat.sizes import write_size
from qwen3_chat.texts import t
from qwen3_chat.wording import SEPARATOR, byte_speed, duration

AUTO = "auto"
PLAIN_STEP_PERCENT = 10
FIT_PATIENCE_S = 10
"""A download does not wait longer for what is only good to know."""


class PullFailed(msgspec.Struct, frozen=True, tag_field="type", tag="pull_failed"):
    """The last line of `pull --json` where no model came."""

    message: str


def pull_model(wanted: str, source_name: str, as_json: bool) -> int:
    """Download a model; return the exit status.

    Raises:
        Qwen3ChatError: it could not be downloaded.
    """
    try:
        source = None if source_name == AUTO else Source(source_name)
    except ValueError as error:
        raise UsageError("pull.unknown_source", name=source_name) from error
    try:
        pulled = asyncio.run(_pull(wanted, source, as_json))
    except Qwen3ChatError as error:
        if as_json:
            _print_json(PullFailed(str(error)))
        raise
    except KeyboardInterrupt:
        print(t("pull.kept"), file=sys.stderr)
        raise
    if not as_json:
        _say_ready(pulled)
    return 0


async def _pull(text: str, source: Source | None, as_json: bool) -> ModelPulled:
    paths = paths_from()
    places = model_places()
    hubs = hubs_from(os.environ, source)
    with _looking_up(text, as_json):
        exact = await _with_quant(text, paths)
        wanted = await find_wanted(exact, hubs, USUAL_PATIENCE)
    if not as_json and exact != text:
        print(plain(t("pull.chosen", quant=wanted.quant, model=wanted.model)), file=sys.stderr)
    if not as_json and "/" in text:
        await _say_fit(wanted, hubs, paths)
    with _report_json() if as_json else _report_to_people(wanted) as report:
        return await pull(wanted, hubs, paths.models, report, partial(_copies, places))


async def _with_quant(text: str, paths: Paths) -> str:
    """Add the quant that suits this machine where the family's model is named without one."""
    model = find(text)
    if model is None:
        return text
    machine = (await probed(paths.engine_log)).machine
    return f"{text}:{best_quant(model, machine).quant}"


async def _say_fit(wanted: WantedModel, hubs: Sequence[Hub], paths: Paths) -> None:
    """Say how a model will run here; one that the catalogue doesn't know, by its header at a source."""
    with suppress(Qwen3ChatError, TimeoutError):  # the download itself will tell what is wrong
        async with asyncio.timeout(FIT_PATIENCE_S):
            model = find(wanted.model)
            if model is None and not any(_copies(model_places(), wanted.files[0])):
                model = await look_into(wanted, hubs, USUAL_PATIENCE)
        if model is not None:
            machine = (await probed(paths.engine_log)).machine
            (offer,) = offers_of(model, (wanted,), machine, None)
            print(plain(t("pull.fit", reason=offer.assessment.reason)), file=sys.stderr)


def _copies(places: Places, file: HubFile) -> Iterator[Path]:
    return copies_of(file.name, file.size_bytes, file.sha256, places)


def _looking_up(text: str, as_json: bool) -> AbstractContextManager[object]:
    console = Console(stderr=True)
    if as_json or not console.is_terminal:
        return nullcontext()
    return console.status(Text(plain(t("pull.looking_up", wanted=text))))


@contextmanager
def _report_json() -> Iterator[Callable[[PullEvent], None]]:
    yield _print_json


def _print_json(event: msgspec.Struct) -> None:
    print(msgspec.json.encode(event).decode(), flush=True)


class _Screen(Protocol):
    def show(self, percent: float, facts: str) -> None: ...

    def say(self, text: str) -> None: ...

    def wait(self, text: str) -> None: ...


@contextmanager
def _report_to_people(wanted: WantedModel) -> Iterator[Callable[[PullEvent], None]]:
    console = Console(stderr=True)
    title = plain(" ".join((wanted.model, wanted.quant)))
    if not console.is_terminal:
        yield partial(_show, _Lines(title))
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[facts]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield partial(_show, _Bar(progress, progress.add_task(title, total=100, facts="")))


class _Bar:
    """A progress bar for a terminal."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def show(self, percent: float, facts: str) -> None:
        self._progress.update(self._task, completed=percent, facts=facts)

    def say(self, text: str) -> None:
        self._progress.update(self._task, facts=text)

    def wait(self, text: str) -> None:
        self.say(text)


class _Lines:
    """A line now and then, for a log."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._next_percent = 0.0
        self._said = ""

    def show(self, percent: float, facts: str) -> None:
        if percent >= self._next_percent:
            self._next_percent = percent - percent % PLAIN_STEP_PERCENT + PLAIN_STEP_PERCENT
            self.say(f"{self._title}  {facts}")

    def say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            print(text, file=sys.stderr, flush=True)

    def wait(self, text: str) -> None:
        pass


def _show(screen: _Screen, event: PullEvent) -> None:
    match event:
        case FileChecked(file=file, done_bytes=done, total_bytes=total):
            screen.show(100 * done / total, plain(t("pull.checking", file=file)))
        case SourceAsked(source=source):
            screen.wait(plain(t("pull.asking", host=source)))
        case DownloadProgressed(done_bytes=done, total_bytes=total):
            screen.show(100 * done / total, _facts(event))
        case DownloadDelayed(reason=reason, wait_s=wait_s):
            screen.say(plain(t("pull.again", reason=reason, wait=duration(wait_s)) if wait_s else reason))
        case CopyUsed(path=path):
            screen.say(plain(t("pull.copy", path=path)))
        case ModelPulled():
            pass


def _facts(event: DownloadProgressed) -> str:
    facts = [f"{write_size(event.done_bytes)} / {write_size(event.total_bytes)}"]
    if event.bytes_per_s >= 1:
        facts.append(byte_speed(event.bytes_per_s))
    if event.left_s is not None and event.done_bytes < event.total_bytes:
        facts.append(t("pull.left", time=duration(event.left_s)))
    return SEPARATOR.join((*facts, event.source))


def _say_ready(pulled: ModelPulled) -> None:
    print(plain(t("pull.here", name=pulled.model, quant=pulled.quant, path=pulled.path)))
    wanted = f"{pulled.model}:{pulled.quant}"
    if any(answers_to(model, wanted) for model in installed_models(paths_from().models)):
        print(plain(t("pull.start", model=wanted)))
    else:
        print(plain(t("pull.start_file", path=pulled.path)))
