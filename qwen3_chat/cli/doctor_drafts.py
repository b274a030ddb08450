"""The finding of `doctor` about the model that drafts: whether one is set, is there, and suits the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qwen3_chat.cli.engine_composition import configured_model_dirs, resolve_model_file
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.config import Paths, Settings
from qwen3_chat.demo import DEMO_FILE, DEMO_REFERENCE
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ModelError
from qwen3_chat.models.catalog import ModelReference, find_family_model
from qwen3_chat.models.fit import Machine, assess
from qwen3_chat.models.library import list_models_on_disk
from qwen3_chat.models.picker import DiskModel, ModelVariant, identify_models
from qwen3_chat.models.picker.draft_choice import (
    DraftChoice,
    DraftState,
    DraftTarget,
    draft_cost,
    find_draft_choice,
    find_draft_target,
    variant_target,
)
from qwen3_chat.request import AUTO_DRAFT_MODEL, read_draft_value
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence


class DraftFinding(msgspec.Struct, frozen=True):
    """The model that drafts by the setting, and what it comes to beside the model that would be loaded.

    `setting` is None where none is set; `model` and `file` are those of the model that the setting means;
    the bytes and the speedup are None where they are not known. `remedy` says what to do where it can't
    draft, `command` is the one that does it, if there is one.
    """

    setting: str | None
    beside: str
    state: DraftState
    sentence: str
    model: str = ""
    file: str = ""
    need_bytes: int | None = None
    total_bytes: int | None = None
    speedup: float | None = None
    remedy: str = ""
    command: str = ""
    error_code: ErrorCode | None = None

    @property
    def is_problem(self) -> bool:
        """True if it is told among the problems."""
        return self.state.is_problem


def find_drafts(choice: ModelChoice, settings: Settings, paths: Paths, machine: Machine) -> DraftFinding:
    """Find out what the draft model of the settings comes to beside the model of a choice."""
    files = identify_models(list_models_on_disk(paths.models, configured_model_dirs(settings)))
    target = _find_target(choice, settings, paths, machine, files)
    value = read_draft_value(settings.draft)
    option = find_draft_choice(value, target, machine, files)
    finding = DraftFinding(settings.draft, target.title, option.state, option.sentence)
    if option.state is DraftState.OFF:
        return msgspec.structs.replace(finding, sentence=_sentence_without(target, machine, files))
    remedy, command = _remedy(option, paths.settings_file)
    assessment = option.assessment
    has_room = assessment is not None and assessment.plan is not None
    return msgspec.structs.replace(
        finding,
        model=option.name,
        file="" if option.path is None else str(option.path),
        need_bytes=assessment.need_bytes if assessment else None,
        total_bytes=assessment.total_bytes if assessment and has_room else None,
        speedup=assessment.speedup if assessment else None,
        remedy=remedy,
        command=command,
        error_code=_error_code(option, command),
    )


def format_drafts_finding(finding: DraftFinding) -> list[str]:
    """Write the finding in lines; of a problem, which is told below, in short."""
    if finding.is_problem:
        need = "" if finding.need_bytes is None else format_size(finding.need_bytes)
        phrase = t(f"draft_model.phrase.{finding.state}", need=need)
        return [t("models.draft", model=finding.setting, verdict=phrase)]
    file = finding.file if finding.state is DraftState.DRAFTS else ""
    return [line for line in (finding.sentence, file, finding.remedy) if line]


def _find_target(
    choice: ModelChoice, settings: Settings, paths: Paths, machine: Machine, files: Sequence[DiskModel]
) -> DraftTarget:
    """Return the model that would be loaded."""
    try:
        path = resolve_model_file(choice, settings, paths.models).expanduser().absolute()
    except ModelError:
        return DraftTarget(choice.model or settings.model or "", None)
    if path == DEMO_FILE.absolute():
        return find_draft_target(path, DEMO_REFERENCE, machine)
    for model, file in ((one.model, one.file) for one in files):
        if file.path.expanduser().absolute() == path:
            assessment = assess(model, file.quant, machine, None, file.size_bytes)
            return variant_target(ModelVariant(assessment, file.size_bytes, file))
    return find_draft_target(path, path.stem, machine)


def _sentence_without(target: DraftTarget, machine: Machine, files: Sequence[DiskModel]) -> str:
    """Say that none is set, and which one could draft."""
    possible = find_draft_choice(AUTO_DRAFT_MODEL, target, machine, files)
    if possible.state not in (DraftState.DRAFTS, DraftState.UNPROVEN):
        return t("doctor.draft_unset")
    cost = draft_cost(possible.assessment)
    return t("doctor.draft_possible", draft=possible.name, model=target.title, cost=cost)


def _remedy(option: DraftChoice, settings_file: Path) -> tuple[str, str]:
    """Return what to do about a model that can't draft, and the command that does it, if there is one."""
    if option.state.can_be_chosen:
        return "", ""
    if option.state is DraftState.MISSING:
        reference = ModelReference.parse(option.value)
        if reference.is_repository or find_family_model(reference.name):
            return t("doctor.draft_fetch", draft=option.value), f"qwen3-chat pull {reference}"
    return t("doctor.draft_other", file=settings_file), ""


def _error_code(option: DraftChoice, command: str) -> ErrorCode | None:
    match option.state:
        case DraftState.MISSING:
            return ErrorCode.MODEL_NOT_INSTALLED if command else ErrorCode.MODEL_UNKNOWN
        case DraftState.DAMAGED:
            return option.error_code
        case _:
            return None
