"""Models that other programs keep on this disk; they are used where they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from qwen3_chat.errors import ModelError
from qwen3_chat.file_name import read_file_name
from qwen3_chat.gguf import read_file
from qwen3_chat.library.installed import InstalledModel, Origin, models_in, newest_first

OLLAMA_FAMILY = "qwen3"
"""What Ollama's own library calls the models that are our family."""

_MODEL_LAYER = "application/vnd.ollama.image.model"


@dataclass(frozen=True, slots=True)
class Places:
    """Where other programs keep their models on this system, whether there are any or not."""

    hugging_face: Path
    lm_studio: tuple[Path, ...]
    llama_cpp: tuple[Path, ...]
    ollama: tuple[Path, ...]
    named: tuple[Path, ...] = ()
    """Folders that the user names in the settings."""


def places_from(environ: Mapping[str, str], home: Path, folders: Iterable[str] = ()) -> Places:
    """Find the folders, by the variables and the defaults of each program; nothing is made."""
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    hf_home = Path(environ.get("HF_HOME") or cache / "huggingface")
    llama_cpp = (cache / "llama.cpp", home / "Library" / "Caches" / "llama.cpp")
    return Places(
        hugging_face=Path(environ.get("HF_HUB_CACHE") or hf_home / "hub"),
        lm_studio=(home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"),
        llama_cpp=(Path(named),) if (named := environ.get("LLAMA_CACHE")) else llama_cpp,
        ollama=(Path(named),)
        if (named := environ.get("OLLAMA_MODELS"))
        else (home / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models")),
        named=tuple(Path(folder).expanduser() for folder in folders),
    )


def models_elsewhere(places: Places) -> tuple[InstalledModel, ...]:
    """List the Qwen3 models of other programs, the newest file first; what can't be read is left out."""
    return newest_first(_models(places))


def copies_of(name: str, size_bytes: int, sha256: str, places: Places) -> Iterator[Path]:
    """Yield files that may be the one wanted, the likeliest first; the checksum still has to be compared.

    Hugging Face and Ollama name blobs by their checksum; elsewhere name and size must agree.
    """
    blobs = [*places.hugging_face.glob(f"models--*/blobs/{sha256}")]
    blobs += [folder / "blobs" / f"sha256-{sha256}" for folder in places.ollama]
    named = (
        path
        for folder in (*places.named, *places.lm_studio, *places.llama_cpp)
        for path in folder.glob("**/*.gguf")
        if path.name.endswith(name)  # llama.cpp puts the repository before the name
    )
    for path in (*blobs, *named):
        if _size_of(path) == size_bytes:
            yield path


def _models(places: Places) -> Iterator[InstalledModel]:
    for folder in places.named:
        yield from models_in(folder, Origin.NAMED)
    yield from _of_the_family(
        models_in(places.hugging_face, Origin.HUGGING_FACE, "models--*/snapshots/*/**/*.gguf")
    )
    for folder in places.lm_studio:
        yield from _of_the_family(models_in(folder, Origin.LM_STUDIO))
    for folder in places.llama_cpp:
        yield from _of_the_family(models_in(folder, Origin.LLAMA_CPP, "*.gguf"))
    for folder in places.ollama:
        yield from _ollama_models(folder)


def _of_the_family(models: Iterable[InstalledModel]) -> Iterator[InstalledModel]:
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
            _name_of(manifest.name, header.name),
            header.quant,
            blob,
            stat.st_size,
            stat.st_mtime,
            Origin.OLLAMA,
        )


def _name_of(tag: str, title: str) -> str:
    """Name a model as the family does: `8b-q8_0` is `8B`; `latest` says nothing, so the file's title does."""
    read = read_file_name(f"{tag}.gguf")
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
