"""The model files on this disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from qwen3_chat.errors import ModelError

DEMO_FILE = Path(__file__).parent / "demo" / "demo-Q8_0.gguf"
"""The model that ships with the package."""

FILE_NAME = re.compile(
    r"(?:qwen_?)?(?:qwen3-)?(?P<name>.+?)-(?P<quant>(?:UD-)?(?:I?Q\d\w*|BF16|F16|F32))(?P<part>-\d{5}-of-\d{5})?\.gguf",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A GGUF file in the models folder, named as the family names it: `8B`, `Q4_K_M`."""

    name: str
    quant: str
    path: Path
    size_bytes: int
    modified_s: float


def installed_models(folder: Path) -> tuple[InstalledModel, ...]:
    """List the models of a folder, the newest file first; of a split model its first part."""
    models = []
    for path in folder.glob("**/*.gguf"):
        match = FILE_NAME.fullmatch(path.name)
        if match and (match["part"] or "-00001-").startswith("-00001-"):
            stat = path.stat()
            models.append(
                InstalledModel(match["name"], match["quant"].upper(), path, stat.st_size, stat.st_mtime)
            )
    return tuple(sorted(models, key=lambda model: -model.modified_s))


def find_model(folder: Path, wanted: str) -> Path:
    """Find an installed model by `NAME` or `NAME:QUANT`.

    Raises:
        ModelError: it is not installed.
    """
    name, _, quant = wanted.partition(":")
    name = name.lower().removeprefix("qwen3-")
    for model in installed_models(folder):
        if model.name.lower() == name and quant.upper() in ("", model.quant):
            return model.path
    raise ModelError("library.not_installed", name=wanted, folder=folder)
