"""The model that drafts for another one: `--draft NAME|auto|none`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qwen3_chat.demo import DEMO_FILE, DEMO_REFERENCE
from qwen3_chat.errors import ModelError
from qwen3_chat.models import gguf
from qwen3_chat.models.catalog import ModelReference, Shape
from qwen3_chat.models.fit.drafts import AUTO_DRAFT_NAMES, may_draft_for
from qwen3_chat.models.library import ModelDirs, find_model_file, list_external_models, list_models_on_disk
from qwen3_chat.record_copies import replace
from qwen3_chat.request import AUTO_DRAFT_MODEL, LoadSettings


def with_draft_model(
    load_settings: LoadSettings,
    text: str,
    models_dir: Path,
    model_dirs: ModelDirs,
    *,
    is_for_any_model: bool = False,
) -> LoadSettings:
    """Return the settings of a load with the model that drafts, if there is one to choose.

    One that was named for any model is left out where it can't help this one, or is not installed, which the
    load then says for a model that drafts could help.

    Raises:
        ModelError: the one that was named for this model is not installed.
    """
    target = Path(load_settings.path)
    try:
        found = _find(text, target, models_dir, model_dirs)
    except ModelError:
        if not is_for_any_model:
            raise
        shape = _shape(target)
        is_missed = shape is not None and not shape.n_experts and not shape.delta_net
        return replace(load_settings, missing_draft=text) if is_missed else load_settings
    if found is not None and is_for_any_model:
        found = _choose([found], target)
    if found is None:
        return load_settings
    return replace(load_settings, draft=str(found.absolute()), drafts_on_gpu_only=text == AUTO_DRAFT_MODEL)


def _find(text: str, target: Path, models_dir: Path, model_dirs: ModelDirs) -> Path | None:
    if text == DEMO_REFERENCE:
        return DEMO_FILE
    if text != AUTO_DRAFT_MODEL:
        return find_model_file(models_dir, ModelReference.parse(text), list_external_models(model_dirs))
    found = {model.name: model.path for model in list_models_on_disk(models_dir, model_dirs)}
    return _choose((found[name] for name in AUTO_DRAFT_NAMES if name in found), target)


def _choose(candidates: Iterable[Path], target: Path) -> Path | None:
    """Return the first candidate that is small enough beside the target, if that can gain by it."""
    shape = _shape(target)
    if shape is None:
        return None
    drafts = ((path, _shape(path)) for path in candidates)
    return next((path for path, draft in drafts if draft is not None and may_draft_for(shape, draft)), None)


def _shape(path: Path) -> Shape | None:
    try:
        return gguf.read_file(path).shape
    except ModelError:
        return None
