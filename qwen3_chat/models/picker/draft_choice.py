"""The choice of the model that drafts for others: the one in force, and the effect of each beside a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from qwen3_chat.config.settings_store import SettingsStore
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ModelError
from qwen3_chat.models import gguf
from qwen3_chat.models.catalog import ModelReference, Shape
from qwen3_chat.models.fit import Assessment, Machine, assess
from qwen3_chat.models.fit.drafts import (
    AUTO_DRAFT_NAMES,
    DraftAssessment,
    DraftCandidate,
    assess_candidate,
    find_draft_obstacle,
)
from qwen3_chat.models.library import matches_reference
from qwen3_chat.models.picker.model_table import DiskModel, ModelTable, ModelVariant, model_from_header
from qwen3_chat.record_copies import replace
from qwen3_chat.request import AUTO_DRAFT_MODEL, NO_DRAFT_MODEL, read_draft_value
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import format_size


class DraftSetting:
    """The model that drafts for those loaded from now on: named at the start, or else by the setting."""

    def __init__(self, settings_store: SettingsStore, named_at_start: str | None = None) -> None:
        self._settings_store = settings_store
        self.named_at_start = named_at_start
        """The value of `--draft`, until another one is chosen."""

    @property
    def stored(self) -> str | None:
        """The value of the setting."""
        return self._settings_store.settings.draft

    @property
    def value(self) -> str:
        """The value that counts: a name, `auto` or `none`."""
        return read_draft_value(self.named_at_start or self.stored)

    def choose(self, value: str) -> None:
        """Have another model draft, or none, and store that as the setting.

        Raises:
            ConfigError: the settings can't be written; nothing is changed.
        """
        if value == NO_DRAFT_MODEL:
            self._settings_store.reset("draft")
        else:
            self._settings_store.change("draft", value)
        self.named_at_start = None


class DraftState(StrEnum):
    """The effect of a choice beside a model.

    Each has its phrase, `draft_model.phrase.STATE`, and its sentence, `draft_model.sentence.STATE`.
    """

    OFF = "off"
    DRAFTS = "drafts"
    UNPROVEN = "unproven"
    IDLE = "idle"
    MISSING = "missing"
    DAMAGED = "damaged"
    UNKNOWN = "unknown"
    EXPERTS = "experts"
    STATES = "states"
    TOKENS = "tokens"
    RATIO = "ratio"
    ROOM = "room"

    @property
    def is_problem(self) -> bool:
        """True if nothing can be drafted as things are; one that only does not suit a model is no problem."""
        return self in (DraftState.MISSING, DraftState.DAMAGED, DraftState.ROOM)

    @property
    def can_be_chosen(self) -> bool:
        """True if the choice makes sense for the model: it drafts, or may do so by itself."""
        return self in (DraftState.OFF, DraftState.DRAFTS, DraftState.UNPROVEN, DraftState.IDLE)


@dataclass(frozen=True, slots=True)
class DraftTarget:
    """The model that is drafted for; `shape` is None where its file can't be read.

    `assessment` is None where llama.cpp alone knows what memory it takes.
    """

    title: str
    shape: Shape | None
    assessment: Assessment | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class DraftChoice:
    """A choice for the model that drafts, by its value, and what it comes to beside a model.

    `phrase` is short enough for a row, `sentence` tells the same in full; `name` is the model that `auto`
    stands for.
    """

    value: str
    state: DraftState
    phrase: str
    sentence: str
    name: str = ""
    path: Path | None = None
    assessment: DraftAssessment | None = None
    error_code: ErrorCode | None = None
    """The code of the error for which its file can't be read."""


def find_draft_target(path: Path, title: str, machine: Machine) -> DraftTarget:
    """Return the model of a file that no row of the table has."""
    try:
        header = gguf.read_file(path)
        size_bytes = path.stat().st_size
    except (ModelError, OSError):
        return DraftTarget(title, None, path=path)
    model = model_from_header(header, title)
    assessment = None if model is None else assess(model, header.quant, machine, None, size_bytes)
    return DraftTarget(title, header.shape, assessment, path)


def variant_target(variant: ModelVariant) -> DraftTarget:
    """Return the model of a row, by its file where it has one."""
    title, assessment = variant.title, variant.assessment
    if variant.file is None:
        return DraftTarget(title, assessment.model.shape, assessment)
    path = variant.file.path
    shape = _read_shape(path)
    return DraftTarget(title, None if isinstance(shape, ModelError) else shape, assessment, path)


def read_draft_files(value: str, table: ModelTable, files: Sequence[DiskModel]) -> None:
    """Read what a choice needs of the files in a table, so that later none has to be waited for."""
    if value == NO_DRAFT_MODEL:
        return
    for variant in (variant for row in table.rows for variant in row.variants if variant.file):
        find_draft_choice(value, variant_target(variant), table.machine, files)


def list_draft_choices(
    target: DraftTarget, machine: Machine, files: Sequence[DiskModel], value: str
) -> tuple[DraftChoice, ...]:
    """List the choices beside a model: none, auto, the other models by size, those that suit first.

    The one in force is among them, also where it is not on this disk.
    """
    others = (disk_model for disk_model in files if disk_model.file.path != target.path)
    by_size = sorted(others, key=lambda disk_model: disk_model.file.size_bytes)
    names = [draft_value(disk_model, files) for disk_model in by_size]
    in_force = find_draft_choice(value, target, machine, files)
    words = [find_draft_choice(one, target, machine, files) for one in (NO_DRAFT_MODEL, AUTO_DRAFT_MODEL)]
    choices = [find_draft_choice(name, target, machine, files) for name in dict.fromkeys(names)]
    if value not in (NO_DRAFT_MODEL, AUTO_DRAFT_MODEL):  # which may be another name of one of them
        paths = [choice.path for choice in choices]
        index = paths.index(in_force.path) if in_force.path in paths else len(choices)
        choices[index : index + 1] = [in_force]
    return (*words, *sorted(choices, key=lambda choice: not choice.state.can_be_chosen))


def draft_value(disk_model: DiskModel, files: Iterable[DiskModel]) -> str:
    """Return the value that means a model on this disk: its name, with its quant where there are several."""
    file = disk_model.file
    name = str(ModelReference(file.name))
    n_quants = sum(other.file.name.lower() == file.name.lower() for other in files)
    return name if n_quants == 1 else str(ModelReference(file.name, file.quant))


def find_draft_choice(
    value: str, target: DraftTarget, machine: Machine, files: Iterable[DiskModel]
) -> DraftChoice:
    """Return what a value of the setting comes to beside a model."""
    match value:
        case "none":
            return _option(value, DraftState.OFF, target)
        case "auto":
            return _automatic_option(target, machine, list(files))
        case "demo":
            return _named_option(value, target, machine, DEMO_FILE)
        case _:
            reference = ModelReference.parse(value)
            found = next((one for one in files if matches_reference(one.file, reference)), None)
            if found is None:
                return _option(value, DraftState.MISSING, target, value)
            return _named_option(value, target, machine, found.file.path, _candidate(found))


def _candidate(draft: DiskModel) -> DraftCandidate:
    return DraftCandidate(draft.model, draft.file.quant, draft.file.size_bytes, is_installed=True)


def _named_option(
    value: str, target: DraftTarget, machine: Machine, path: Path, candidate: DraftCandidate | None = None
) -> DraftChoice:
    shape = _read_shape(path)
    if isinstance(shape, ModelError):
        option = _option(value, DraftState.DAMAGED, target, value, path)
        return replace(option, sentence=str(shape), error_code=shape.code)
    if shape is None or target.shape is None:
        return _option(value, DraftState.UNKNOWN, target, value, path)
    if obstacle := find_draft_obstacle(target.shape, shape):
        return _option(value, DraftState(obstacle.value), target, value, path)
    if target.path is not None and _have_other_tokens(path, target.path):
        return _option(value, DraftState.TOKENS, target, value, path)
    assessment = None
    if target.assessment is not None and candidate is not None:
        assessment = assess_candidate(target.assessment, machine, candidate)
    state = DraftState.ROOM if assessment is not None and assessment.plan is None else DraftState.DRAFTS
    return _option(value, state, target, value, path, assessment)


def _automatic_option(target: DraftTarget, machine: Machine, files: list[DiskModel]) -> DraftChoice:
    for name in AUTO_DRAFT_NAMES:
        found = next((one for one in files if one.file.name == name), None)
        if found is None:
            continue
        option = _named_option(name, target, machine, found.file.path, _candidate(found))
        if option.state is DraftState.DRAFTS:
            is_used = option.assessment is not None and option.assessment.is_automatic
            state = DraftState.DRAFTS if is_used else DraftState.UNPROVEN
            return _option(AUTO_DRAFT_MODEL, state, target, name, option.path, option.assessment)
    return _option(AUTO_DRAFT_MODEL, DraftState.IDLE, target)


def _option(
    value: str,
    state: DraftState,
    target: DraftTarget,
    name: str = "",
    path: Path | None = None,
    assessment: DraftAssessment | None = None,
) -> DraftChoice:
    cost = draft_cost(assessment)
    need = format_size(assessment.need_bytes) if assessment else ""
    phrase = t(f"draft_model.phrase.{state}", draft=name, need=need, cost=cost)
    if value == AUTO_DRAFT_MODEL and state is DraftState.DRAFTS:
        phrase = t("draft_model.phrase.chosen", draft=name, cost=cost)
    sentence = t(f"draft_model.sentence.{state}", draft=name, model=target.title, need=need, cost=cost)
    if state is DraftState.DRAFTS and assessment is not None:
        sentence = t("draft_model.in_all", sentence=sentence, total=format_size(assessment.total_bytes))
    return DraftChoice(value, state, phrase, sentence, name, path, assessment)


def draft_cost(assessment: DraftAssessment | None) -> str:
    """Return the memory that a draft model takes and the speed that it brings, as a phrase."""
    if assessment is None:
        return t("draft_model.cost.unknown")
    need = format_size(assessment.need_bytes)
    if assessment.plan is None:
        return t("draft_model.phrase.room", need=need)
    if assessment.speedup is None:
        return t("draft_model.cost.unmeasured", need=need)
    return t("draft_model.cost.measured", need=need, speedup=f"{assessment.speedup:.2f}")


def _have_other_tokens(first: Path, second: Path) -> bool:
    samples = [_read_unchanged_tokens(path, *_version(path)) for path in (first, second)]
    return samples[0] is not None and samples[1] is not None and samples[0].differs_from(samples[1])


def _read_shape(path: Path) -> Shape | ModelError | None:
    """Read the shape of a file's model; None where its architecture is unknown."""
    return _read_unchanged_shape(path, *_version(path))


def _version(path: Path) -> tuple[int, int]:
    """Return the time and the size by which a file is known to be unchanged."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=32)
def _read_unchanged_tokens(path: Path, _modified_ns: int, _size_bytes: int) -> gguf.TokenSample | None:
    return gguf.read_token_sample(path)


@lru_cache(maxsize=128)
def _read_unchanged_shape(path: Path, _modified_ns: int, _size_bytes: int) -> Shape | ModelError | None:
    try:
        return gguf.read_file(path).shape
    except ModelError as error:
        return error
