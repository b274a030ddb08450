"""The model that drafts for another one: `--draft NAME|auto|none`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from qwen3_chat.demo import DEMO_FILE, DEMO_REFERENCE
from qwen3_chat.errors import ModelError
from qwen3_chat.models import gguf
from qwen3_chat.models.catalog import ModelReference
from qwen3_chat.models.library import ModelDirs, find_model_file, list_external_models, list_models_on_disk
from qwen3_chat.record_copies import replace
from qwen3_chat.request import LoadSettings

AUTO = "auto"
"""The value by which a model is chosen that suits, where there is one."""

AUTO_NAMES: Final = ("1.7B", "0.6B")
"""The models that may draft without being named, the better ones first."""

MIN_RATIO: Final = 8
"""The times that a model has to be larger than the one that drafts for it."""


def with_draft_model(
    load_settings: LoadSettings, text: str, models_dir: Path, model_dirs: ModelDirs
) -> LoadSettings:
    """Return the settings of a load with the model that drafts, if there is one to choose.

    Raises:
        ModelError: the named one is not installed.
    """
    found = _find(text, Path(load_settings.path), models_dir, model_dirs)
    if found is None:
        return load_settings
    return replace(load_settings, draft=str(found.absolute()), drafts_on_gpu_only=text == AUTO)


def _find(text: str, target: Path, models_dir: Path, model_dirs: ModelDirs) -> Path | None:
    if text == DEMO_REFERENCE:
        return DEMO_FILE
    if text != AUTO:
        return find_model_file(models_dir, ModelReference.parse(text), list_external_models(model_dirs))
    found = {model.name: model.path for model in list_models_on_disk(models_dir, model_dirs)}
    return _choose((found[name] for name in AUTO_NAMES if name in found), target)


def _choose(candidates: Iterable[Path], target: Path) -> Path | None:
    """Return the first candidate that is small enough beside the target."""
    size = _parameters(target)
    return next((path for path in candidates if 0 < MIN_RATIO * _parameters(path) <= size), None)


def _parameters(path: Path) -> int:
    try:
        header = gguf.read_file(path)
    except ModelError:
        return 0
    shape = header.shape  # counts all parts of a split file
    return shape.parameters if shape else header.parameters
