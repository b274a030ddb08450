"""The models of other programs on this disk, which are used in their own folders."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qwen3_chat.errors import ModelError
from qwen3_chat.models.displayed_names import displayed_name
from qwen3_chat.models.gguf import read_file
from qwen3_chat.models.gguf_file_name import find_unsuitable_kind, parse_gguf_file_name, stem_of_model
from qwen3_chat.models.library.installed_models import (
    InstalledModel,
    Origin,
    find_gguf_files,
    is_embedding,
    list_installed_models,
    newest_first,
    read_models,
)

_OLLAMA_HOST = "registry.ollama.ai"
_MODEL_LAYER = "application/vnd.ollama.image.model"
_MAX_MANIFEST_BYTES = 1 << 20
_QWEN = re.compile(r"(?:^|[^a-z])(?:qwen[-_]?\d|qwq)", re.IGNORECASE)
"""The beginning of a name of the Qwens, which may stand after that of an owner or of a repository."""
_MAX_POINTER_CHARACTERS = 4096
_JAN_FILE = "model.gguf"
"""The name that Jan gives each file; the folder has the model's."""
_GPT4ALL_MAC_SETTINGS = ".config/gpt4all.io/GPT4All.ini"
"""The place of its settings on macOS, where Qt names the folder after the maker's domain."""
_QT_ESCAPE = re.compile(r"\\(?:x(?P<code>[0-9a-fA-F]{1,4})|(?P<character>.))")
_HUGGING_FACE_FILES = "models--*/snapshots/*/**/*.gguf"


@dataclass(frozen=True, slots=True)
class ModelDirs:
    """The folders in which other programs have their models, whether they exist or not."""

    hugging_face: Path
    lm_studio: tuple[Path, ...]
    llama_cpp: tuple[Path, ...]
    ollama: tuple[Path, ...]
    modelscope: tuple[Path, ...] = ()
    jan: tuple[Path, ...] = ()
    gpt4all: tuple[Path, ...] = ()
    docker: Path | None = None
    configured: tuple[Path, ...] = ()
    """The folders that the user's settings name."""


def find_model_dirs(environ: Mapping[str, str], home: Path, folders: Iterable[str] = ()) -> ModelDirs:
    """Return the folders by the variables and the defaults of each program; create nothing."""
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    hf_home = Path(environ.get("HF_HOME") or cache / "huggingface")
    hf_cache = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    llama_cpp = [cache / "llama.cpp", home / "Library" / "Caches" / "llama.cpp"]
    llama_cpp += [Path(local) / "llama.cpp"] if (local := environ.get("LOCALAPPDATA")) else []
    return ModelDirs(
        hugging_face=Path(hf_cache or hf_home / "hub"),
        lm_studio=tuple(_lm_studio_dirs(environ, home)),
        llama_cpp=(Path(named),) if (named := environ.get("LLAMA_CACHE")) else tuple(llama_cpp),
        ollama=(Path(named),)
        if (named := environ.get("OLLAMA_MODELS"))
        else (home / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models")),
        modelscope=tuple(
            Path(environ.get("MODELSCOPE_CACHE") or cache / "modelscope") / name for name in ("hub", "models")
        ),
        jan=_distinct(
            data / models
            for data in _jan_data_dirs(environ, home)
            for models in ("llamacpp/models", "models")  # since and before summer 2025
        ),
        gpt4all=_distinct(_gpt4all_dirs(environ, home)),
        docker=home / ".docker" / "models",
        configured=tuple(Path(folder).expanduser() for folder in folders),
    )


def _distinct(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Return the folders without those that are others under a second name, as where case does not count."""
    distinct: dict[object, Path] = {}
    for folder in folders:
        try:
            status = folder.stat()
        except OSError:
            distinct[folder] = folder
        else:
            distinct.setdefault((status.st_dev, status.st_ino), folder)
    return tuple(distinct.values())


def _settings_dirs(environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """Return the folders in which programs of this system keep their settings and data."""
    return (
        Path(environ.get("XDG_CONFIG_HOME") or home / ".config"),
        Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share"),
        home / "Library" / "Application Support",
        Path(environ.get("APPDATA") or home / "AppData" / "Roaming"),
    )


def _jan_data_dirs(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield Jan's data folders: the one of its variable, those of its settings, the usual ones."""
    if data_folder := environ.get("JAN_DATA_FOLDER"):
        yield Path(data_folder)
    for folder in _settings_dirs(environ, home):
        for app in ("Jan", "jan"):
            if named := _folder_in_json(folder / app / "settings.json", "data_folder"):
                yield named
            yield folder / app / "data"


def _gpt4all_dirs(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield GPT4All's folders: those of its settings, the usual ones of the app, that of its libraries.

    From mysettings.cpp and the FAQ of GPT4All 3.10; on Flathub, the app has a home of its own.
    """
    sandbox = home / ".var" / "app" / "io.gpt4all.gpt4all"
    settings = (*_settings_dirs(environ, home), sandbox / "config")
    for file in (*(folder / "nomic.ai" / "GPT4All.ini" for folder in settings), home / _GPT4ALL_MAC_SETTINGS):
        if named := _folder_in_ini(file, "modelPath"):
            yield named
    local = Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    for folder in (data, home / "Library" / "Application Support", local, sandbox / "data"):
        yield folder / "nomic.ai" / "GPT4All"
    yield home / ".cache" / "gpt4all"


def _folder_in_json(file: Path, name: str) -> Path | None:
    """Return the folder that another program's settings in JSON name; None where they name none."""
    with suppress(OSError, ValueError, RecursionError), file.open("rb") as source:
        settings = json.loads(source.read(_MAX_MANIFEST_BYTES))
        if isinstance(settings, dict) and isinstance(value := settings.get(name), str):
            return _folder(value)
    return None


def _folder_in_ini(file: Path, name: str) -> Path | None:
    """Return the folder that settings in the form of Qt name; None where they name none."""
    section = ""
    with suppress(OSError, ValueError), file.open("rb") as source:
        for line in source.read(_MAX_MANIFEST_BYTES).decode().splitlines():
            key, _, value = line.partition("=")
            if line.startswith("["):
                section = line
            elif section == "[General]" and key == name:
                value = value.removeprefix('"').removesuffix('"')
                return _folder(_QT_ESCAPE.sub(_unescaped, value))
    return None


def _folder(text: str) -> Path | None:
    """Return a folder by its whole path; None for what no folder can be called."""
    with suppress(ValueError):  # a surrogate
        os.fsencode(text)
        folder = Path(text)
        return folder if folder.is_absolute() and "\0" not in text else None
    return None


def _unescaped(match: re.Match[str]) -> str:
    code = match["code"]
    return chr(int(code, 16)) if code else match["character"]


def _lm_studio_dirs(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield LM Studio's folders: the one of its settings, that of the home it points to, the usual ones."""
    for folder in _settings_dirs(environ, home):
        if named := _folder_in_json(folder / "LM Studio" / "settings.json", "downloadsFolder"):
            yield named
    with suppress(OSError, ValueError), (home / ".lmstudio-home-pointer").open(encoding="utf-8") as file:
        if pointed := _folder(file.read(_MAX_POINTER_CHARACTERS).strip()):
            yield pointed / "models"
    yield home / ".lmstudio" / "models"
    yield home / ".cache" / "lm-studio" / "models"


def list_external_models(model_dirs: ModelDirs) -> tuple[InstalledModel, ...]:
    """List the Qwen models of other programs, the newest file first; unreadable ones are left out.

    A file counts once, in whichever folders it is found.
    """
    models = {model.path: model for model in reversed(list(_external_models(model_dirs)))}
    return newest_first(reversed(list(models.values())))


def list_models_on_disk(folder: Path, model_dirs: ModelDirs) -> tuple[InstalledModel, ...]:
    """List the models of the app's folder, then those of other programs, the newest first in each."""
    return (*list_installed_models(folder), *list_external_models(model_dirs))


def find_local_copies(name: str, size_bytes: int, sha256: str, model_dirs: ModelDirs) -> Iterator[Path]:
    """Yield files that may be copies of the file, the likeliest first; the checksum is still to be compared.

    Hugging Face, Ollama and Docker name blobs by their checksum; in other folders name and size must agree.
    """
    blobs = [*model_dirs.hugging_face.glob(f"models--*/blobs/{sha256}")]
    blobs += [folder / "blobs" / f"sha256-{sha256}" for folder in model_dirs.ollama]
    if model_dirs.docker is not None:
        blobs.append(model_dirs.docker / "blobs" / "sha256" / sha256)
    named = (
        path
        for folder in (
            *model_dirs.configured,
            *model_dirs.lm_studio,
            *model_dirs.llama_cpp,
            *model_dirs.modelscope,
            *model_dirs.jan,
            *model_dirs.gpt4all,
        )
        for path in find_gguf_files(folder)
        if path.name.endswith(name) or path.name == _JAN_FILE  # llama.cpp puts the repository before the name
    )
    for path in (*blobs, *named):
        if _size_of(path) == size_bytes:
            yield path


def _external_models(model_dirs: ModelDirs) -> Iterator[InstalledModel]:
    for folder in model_dirs.configured:
        yield from read_models(folder, Origin.CONFIGURED)
    yield from _family_models(read_models(model_dirs.hugging_face, Origin.HUGGING_FACE, _HUGGING_FACE_FILES))
    for folder in model_dirs.lm_studio:
        yield from _family_models(read_models(folder, Origin.LM_STUDIO))
    for folder in model_dirs.llama_cpp:
        for files in ("*.gguf", _HUGGING_FACE_FILES):  # as it was up to spring 2026, and since
            yield from _family_models(read_models(folder, Origin.LLAMA_CPP, files))
    for folder in model_dirs.modelscope:
        yield from _family_models(read_models(folder, Origin.MODELSCOPE))
    for folder in model_dirs.jan:
        yield from _family_models(read_models(folder, Origin.JAN))
    for folder in model_dirs.gpt4all:
        yield from _family_models(read_models(folder, Origin.GPT4ALL))
    for folder in model_dirs.ollama:
        yield from _ollama_models(folder)


def _family_models(models: Iterable[InstalledModel]) -> Iterator[InstalledModel]:
    for model in models:
        if _QWEN.search(model.path.parent.name if model.path.name == _JAN_FILE else model.path.name):
            yield model


def _ollama_models(folder: Path) -> Iterator[InstalledModel]:
    """Yield the blobs that manifests name; a tag such as `8b-q8_0` does not always name the quant.

    The manifest of `ollama run hf.co/unsloth/Qwen3-8B-GGUF:Q8_0` lies under its host, owner and repository.
    """
    for manifest in folder.glob("manifests/*/*/*/*"):
        *_, owner, title, tag = manifest.parts
        if not _QWEN.search(title) or find_unsuitable_kind(title, tag):
            continue
        blob = _model_blob(manifest, folder)
        if blob is None:
            continue
        try:
            header, stat = read_file(blob), blob.stat()
        except (ModelError, OSError):
            continue
        if is_embedding(header):
            continue
        is_own = owner == "library"
        if title.lower() != "qwen3":  # another model of the library, or a repository of a hub
            stem = stem_of_model(title.rpartition("_")[2]).removesuffix("-GGUF")
            tag = f"{stem}-{tag}" if manifest.parts[-4] == _OLLAMA_HOST and tag != "latest" else stem
        yield InstalledModel(
            _ollama_name(tag, displayed_name(header.name, Path(title), header.parameters)),
            header.quant,
            blob,
            stat.st_size,
            stat.st_mtime,
            Origin.OLLAMA,
            None if is_own else f"{owner}/{title}",
        )


def _ollama_name(tag: str, title: str) -> str:
    """Return the family's name of a tag: `8B` for `8b-q8_0`; for `latest`, which names none, the file's."""
    parsed = parse_gguf_file_name(f"{tag}.gguf")
    name = parsed.model if parsed else title.replace(" ", "-") if tag == "latest" else tag
    name = name.lower().removeprefix("qwen3-").upper()
    for word in ("Instruct", "Thinking", "Coder", "Next", "Qwen"):
        name = name.replace(word.upper(), word)
    return name


def _model_blob(manifest: Path, folder: Path) -> Path | None:
    try:
        with manifest.open("rb") as file:
            layers = json.loads(file.read(_MAX_MANIFEST_BYTES))["layers"]
        digest = next(str(layer["digest"]) for layer in layers if layer["mediaType"] == _MODEL_LAYER)
    except (OSError, ValueError, KeyError, TypeError, StopIteration, RecursionError):
        return None
    return folder / "blobs" / digest.replace(":", "-")


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
