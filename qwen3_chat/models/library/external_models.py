"""The models of other programs on this disk; they are used where they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from qwen3_chat.errors import ModelError
from qwen3_chat.models.gguf import read_file
from qwen3_chat.models.gguf_file_name import parse_gguf_file_name
from qwen3_chat.models.library.installed_models import InstalledModel, Origin, newest_first, read_models

OLLAMA_FAMILY = "qwen3"
"""What Ollama's own library calls the models that are our family."""

_MODEL_LAYER = "application/vnd.ollama.image.model"


@dataclass(frozen=True, slots=True)
class ModelDirs:
    """Where other programs keep their models on this system, whether there are any or not."""

    hugging_face: Path
    lm_studio: tuple[Path, ...]
    llama_cpp: tuple[Path, ...]
    ollama: tuple[Path, ...]
    configured: tuple[Path, ...] = ()
    """Folders that the user names in the settings."""


def find_model_dirs(environ: Mapping[str, str], home: Path, folders: Iterable[str] = ()) -> ModelDirs:
    """Find the folders, by the variables and the defaults of each program; nothing is made."""
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    hf_home = Path(environ.get("HF_HOME") or cache / "huggingface")
    llama_cpp = (cache / "llama.cpp", home / "Library" / "Caches" / "llama.cpp")
    return ModelDirs(
        hugging_face=Path(environ.get("HF_HUB_CACHE") or hf_home / "hub"),
        lm_studio=(home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"),
        llama_cpp=(Path(named),) if (named := environ.get("LLAMA_CACHE")) else llama_cpp,
        ollama=(Path(named),)
        if (named := environ.get("OLLAMA_MODELS"))
        else (home / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models")),
        configured=tuple(Path(folder).expanduser() for folder in folders),
    )


def list_external_models(model_dirs: ModelDirs) -> tuple[InstalledModel, ...]:
    """List the Qwen3 models of other programs, the newest file first; what can't be read is left out."""
    return newest_first(_external_models(model_dirs))


def find_local_copies(name: str, size_bytes: int, sha256: str, model_dirs: ModelDirs) -> Iterator[Path]:
    """Yield files that may be the one wanted, the likeliest first; the checksum still has to be compared.

    Hugging Face and Ollama name blobs by their checksum; elsewhere name and size must agree.
    """
    blobs = [*model_dirs.hugging_face.glob(f"models--*/blobs/{sha256}")]
    blobs += [folder / "blobs" / f"sha256-{sha256}" for folder in model_dirs.ollama]
    named = (
        path
        for folder in (*model_dirs.configured, *model_dirs.lm_studio, *model_dirs.llama_cpp)
        for path in folder.glob("**/*.gguf")
        if path.name.endswith(name)  # llama.cpp puts the repository before the name
    )
    for path in (*blobs, *named):
        if _size_of(path) == size_bytes:
            yield path


def _external_models(model_dirs: ModelDirs) -> Iterator[InstalledModel]:
    for folder in model_dirs.configured:
        yield from read_models(folder, Origin.CONFIGURED)
    yield from _family_models(
        read_models(model_dirs.hugging_face, Origin.HUGGING_FACE, "models--*/snapshots/*/**/*.gguf")
    )
    for folder in model_dirs.lm_studio:
        yield from _family_models(read_models(folder, Origin.LM_STUDIO))
    for folder in model_dirs.llama_cpp:
        yield from _family_models(read_models(folder, Origin.LLAMA_CPP, "*.gguf"))
    for folder in model_dirs.ollama:
        yield from _ollama_models(folder)


def _family_models(models: Iterable[InstalledModel]) -> Iterator[InstalledModel]:
    for model in models:
        if "qwen3-" in model.path.name.lower():
            yield model


def _ollama_models(folder: Path) -> Iterator[InstalledModel]:
    """Find blobs through the manifests; a tag such as `8b-q8_0` does not always name the quant."""
    for manifest in folder.glob(f"manifests/*/*/{OLLAMA_FAMILY}/*"):
        blob = _model_blob(manifest, folder)
        if blob is None:
            continue
        try:
            header, stat = read_file(blob), blob.stat()
        except (ModelError, OSError):
            continue
        yield InstalledModel(
            _ollama_name(manifest.name, header.name),
            header.quant,
            blob,
            stat.st_size,
            stat.st_mtime,
            Origin.OLLAMA,
        )


def _ollama_name(tag: str, title: str) -> str:
    """Name a model as the family does: `8b-q8_0` is `8B`; `latest` says nothing, so the file's title does."""
    read = parse_gguf_file_name(f"{tag}.gguf")
    name = read.model if read else title.replace(" ", "-") if tag == "latest" else tag
    name = name.lower().removeprefix("qwen3-").upper()
    return name.replace("INSTRUCT", "Instruct").replace("THINKING", "Thinking")


def _model_blob(manifest: Path, folder: Path) -> Path | None:
    try:
        layers = json.loads(manifest.read_bytes())["layers"]
        digest = next(str(layer["digest"]) for layer in layers if layer["mediaType"] == _MODEL_LAYER)
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None
    return folder / "blobs" / digest.replace(":", "-")


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
