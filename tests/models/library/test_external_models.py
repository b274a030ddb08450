from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ModelError, UsageError
from qwen3_chat.models.catalog import ModelReference
from qwen3_chat.models.library import (
    InstalledModel,
    ModelDirs,
    Origin,
    apply_removal,
    find_local_copies,
    find_model_dirs,
    find_model_file,
    list_external_models,
    list_installed_models,
    plan_removal,
)
from tests.engine import model_files

DATA = b"GGUF and so on"
CHECKSUM = "a" * 64
parse = ModelReference.parse


def put(path: Path, data: bytes = DATA) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.fixture
def model_dirs(tmp_path: Path) -> ModelDirs:
    return find_model_dirs({}, tmp_path)


def names(models: tuple[InstalledModel, ...]) -> list[tuple[str, str, Origin]]:
    return sorted((model.name, model.quant, model.origin) for model in models)


@pytest.mark.parametrize(
    "manifest",
    [
        b"[" * 200_000,
        b'{"layers": [' * 200_000,
        b'{"layers": [1, {}]}',
        b"\xff",
        b'{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "a\\u0000b"}]}',
        b'{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "../../../dev/zero"}]}',
        b" " * (1 << 21),
    ],
)
def test_a_manifest_that_makes_no_sense_names_no_model(
    model_dirs: ModelDirs, tmp_path: Path, manifest: bytes
) -> None:
    put(tmp_path / ".ollama/models/manifests/registry.ollama.ai/library/qwen3/8b", manifest)
    assert list_external_models(model_dirs) == ()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_file_is_no_model(tmp_path: Path) -> None:
    put(tmp_path / "Qwen3-8B-Q8_0.gguf")
    os.mkfifo(tmp_path / "Qwen3-4B-Q8_0.gguf")
    os.mkfifo(tmp_path / "pipe.gguf")
    (tmp_path / "Qwen3-14B-Q8_0.gguf").symlink_to("/dev/zero")
    (tmp_path / "zero.gguf").symlink_to("/dev/zero")
    (tmp_path / "loop.gguf").symlink_to("loop.gguf")
    (tmp_path / "Qwen3-32B-Q8_0.gguf").symlink_to(tmp_path)
    assert names(list_installed_models(tmp_path)) == [("8B", "Q8_0", Origin.APP)]


def test_nothing_elsewhere_is_nothing(model_dirs: ModelDirs) -> None:
    assert list_external_models(model_dirs) == ()
    assert list(find_local_copies("x.gguf", 1, CHECKSUM, model_dirs)) == []


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (
            ".cache/huggingface/hub/models--Qwen--Qwen3-8B-GGUF/snapshots/abc/Qwen3-8B-Q4_K_M.gguf",
            [("8B", "Q4_K_M", Origin.HUGGING_FACE)],
        ),
        (
            ".lmstudio/models/lmstudio-community/Qwen3-4B-GGUF/Qwen3-4B-Q8_0.gguf",
            [("4B", "Q8_0", Origin.LM_STUDIO)],
        ),
        (
            ".cache/llama.cpp/unsloth_Qwen3-0.6B-GGUF_Qwen3-0.6B-Q8_0.gguf",
            [("0.6B", "Q8_0", Origin.LLAMA_CPP)],
        ),
        (
            ".cache/modelscope/hub/models/Qwen/Qwen3-0___6B-GGUF/Qwen3-0.6B-Q8_0.gguf",
            [("0.6B", "Q8_0", Origin.MODELSCOPE)],
        ),
        (
            ".cache/modelscope/hub/unsloth/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf",
            [("8B", "Q4_K_M", Origin.MODELSCOPE)],
        ),
        (
            ".lmstudio/models/unsloth/Qwen3.5-35B-A3B-GGUF/Qwen3.5-35B-A3B-Q4_K_M.gguf",
            [("Qwen3.5-35B-A3B", "Q4_K_M", Origin.LM_STUDIO)],
        ),
        (
            ".config/Jan/data/llamacpp/models/unsloth/Qwen3-8B-Q4_K_M/model.gguf",
            [("8B", "Q4_K_M", Origin.JAN)],
        ),
        (".config/Jan/data/llamacpp/models/Llama-3.1-8B-Q4_K_M/model.gguf", []),
        (".local/share/Jan/data/models/huggingface.co/a/b/Qwen3-8B-Q8_0.gguf", [("8B", "Q8_0", Origin.JAN)]),
        *(
            (f"{place}/Jan/data/llamacpp/models/Qwen3-4B-Q8_0/model.gguf", [("4B", "Q8_0", Origin.JAN)])
            for place in (".local/share", "Library/Application Support", "AppData/Roaming")
        ),
        *(
            (f"{place}/Qwen3-8B-Q4_0.gguf", [("8B", "Q4_0", Origin.GPT4ALL)])
            for place in (
                ".local/share/nomic.ai/GPT4All",
                "Library/Application Support/nomic.ai/GPT4All",
                "AppData/Local/nomic.ai/GPT4All",
                ".var/app/io.gpt4all.gpt4all/data/nomic.ai/GPT4All",
                ".cache/gpt4all",
            )
        ),
        (".local/share/nomic.ai/GPT4All/incomplete-Qwen3-8B-Q4_0.gguf", []),
        (".local/share/nomic.ai/GPT4All/Llama-3.2-1B-Instruct-Q4_0.gguf", []),
        (".cache/modelscope/hub/models/Qwen/E/Qwen3-Embedding-0.6B-Q8_0.gguf", []),
        (".lmstudio/models/a/b/mmproj-Qwen3-VL-4B-F16.gguf", []),
        (".lmstudio/models/other/Llama-3.1-8B-GGUF/Llama-3.1-8B-Q8_0.gguf", []),
        (".lmstudio/models/split/Qwen3-32B-Q8_0-00001-of-00002.gguf", []),
    ],
)
def test_models_of_other_programs_are_found_with_their_origin(
    model_dirs: ModelDirs, tmp_path: Path, path: str, found: list[tuple[str, str, Origin]]
) -> None:
    put(tmp_path / path)
    assert names(list_external_models(model_dirs)) == found


def ollama(
    folder: Path, tag: str, digest: str, model: Path | None, place: str = "registry.ollama.ai/library/qwen3"
) -> Path:
    """Write a model in the layout of Ollama."""
    manifest = {
        "layers": [
            {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:" + "b" * 64},
            {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"},
        ]
    }
    put(folder / "manifests" / place / tag, json.dumps(manifest).encode())
    blob = folder / "blobs" / f"sha256-{digest}"
    blob.parent.mkdir(parents=True, exist_ok=True)
    if model is not None:
        shutil.copy(model, blob)
    return blob


@pytest.mark.parametrize(
    ("tag", "name"),
    [("0.6b", "0.6B"), ("0.6b-q8_0", "0.6B"), ("30b-a3b-instruct-2507-q4_K_M", "30B-A3B-Instruct-2507")],
)
def test_ollamas_models_are_found_through_their_manifests(
    model_dirs: ModelDirs, tmp_path: Path, demo_gguf: Path, tag: str, name: str
) -> None:
    blob = ollama(tmp_path / ".ollama/models", tag, CHECKSUM, demo_gguf)
    (model,) = list_external_models(model_dirs)
    assert (model.name, model.quant, model.path, model.origin) == (name, "Q8_0", blob, Origin.OLLAMA)


@pytest.mark.parametrize(
    ("title", "name"), [("Qwen3 tiny base", "TINY-BASE"), ("Checkpoint 1500", "Qwen3"), ("Models", "Qwen3")]
)
def test_ollamas_latest_model_is_named_by_its_header_if_that_names_one(
    model_dirs: ModelDirs, tmp_path: Path, demo_gguf: Path, title: str, name: str
) -> None:
    path = model_files.make(
        tmp_path / "x", demo_gguf, lambda data: model_files.with_text(data, "general.name", title)
    )
    ollama(tmp_path / ".ollama/models", "latest", CHECKSUM, path)
    (model,) = list_external_models(model_dirs)
    assert model.name == name


@pytest.mark.parametrize(
    ("place", "tag", "name", "repository"),
    [
        ("hf.co/unsloth/Qwen3-0.6B-GGUF", "Q8_0", "0.6B", "unsloth/Qwen3-0.6B-GGUF"),
        ("modelscope.cn/Qwen/Qwen3-8B-GGUF", "latest", "8B", "Qwen/Qwen3-8B-GGUF"),
        ("registry.ollama.ai/somebody/qwen3", "0.6b", "0.6B", "somebody/qwen3"),
        ("hf.co/bartowski/Qwen_Qwen3-8B-GGUF", "Q8_0", "8B", "bartowski/Qwen_Qwen3-8B-GGUF"),
        ("registry.ollama.ai/library/qwen3-coder", "30b", "Coder-30B", None),
        ("registry.ollama.ai/library/qwen3.5", "35b-a3b", "Qwen3.5-35B-A3B", None),
    ],
)
def test_what_ollama_got_from_a_hub_is_found(
    model_dirs: ModelDirs,
    tmp_path: Path,
    demo_gguf: Path,
    place: str,
    tag: str,
    name: str,
    repository: str | None,
) -> None:
    ollama(tmp_path / ".ollama/models", tag, CHECKSUM, demo_gguf, place)
    (model,) = list_external_models(model_dirs)
    assert (model.name, model.quant, model.repository) == (name, "Q8_0", repository)


@pytest.mark.parametrize("place", ["registry.ollama.ai/library/qwen3-embedding", "hf.co/a/Llama-GGUF"])
def test_other_models_of_ollama_are_left_out(
    model_dirs: ModelDirs, tmp_path: Path, demo_gguf: Path, place: str
) -> None:
    ollama(tmp_path / ".ollama/models", "0.6b", CHECKSUM, demo_gguf, place)
    assert list_external_models(model_dirs) == ()


def test_folders_behind_links_are_searched_once(tmp_path: Path) -> None:
    put(tmp_path / "disk/models/Qwen3-8B-Q4_K_M.gguf")
    (tmp_path / "gguf").mkdir()
    (tmp_path / "gguf/more").symlink_to(tmp_path / "disk/models")
    (tmp_path / "disk/models/back").symlink_to(tmp_path / "gguf")
    model_dirs = find_model_dirs({}, tmp_path / "home", [str(tmp_path / "gguf")])
    (model,) = list_external_models(model_dirs)
    assert model.name == "8B"
    assert len(list(find_local_copies(model.path.name, len(DATA), CHECKSUM, model_dirs))) == 1


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{}", b'{"layers": 3}', b'{"layers": [{}]}', b"\xff"])
def test_a_manifest_that_makes_no_sense_is_left_out(
    model_dirs: ModelDirs, tmp_path: Path, manifest: bytes
) -> None:
    put(tmp_path / ".ollama/models/manifests/registry.ollama.ai/library/qwen3/8b", manifest)
    assert list_external_models(model_dirs) == ()


def test_a_manifest_without_its_blob_is_left_out(model_dirs: ModelDirs, tmp_path: Path) -> None:
    ollama(tmp_path / ".ollama/models", "8b", CHECKSUM, None)
    assert list_external_models(model_dirs) == ()


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"HF_HOME": "hf"}, "hf/hub/models--a--b/snapshots/abc/Qwen3-8B-Q4_K_M.gguf"),
        ({"HF_HUB_CACHE": "hub"}, "hub/models--a--b/snapshots/abc/Qwen3-8B-Q4_K_M.gguf"),
        ({"XDG_CACHE_HOME": "xdg"}, "xdg/huggingface/hub/models--a--b/snapshots/abc/Qwen3-8B-Q4_K_M.gguf"),
        ({"MODELSCOPE_CACHE": "ms"}, "ms/hub/a/b/Qwen3-8B-Q4_K_M.gguf"),
        ({"LLAMA_CACHE": "llama"}, "llama/a_b_Qwen3-8B-Q4_K_M.gguf"),
        ({"LLAMA_CACHE": "llama"}, "llama/models--a--b/snapshots/abc/Qwen3-8B-Q4_K_M.gguf"),
        ({"HUGGINGFACE_HUB_CACHE": "hub"}, "hub/models--a--b/snapshots/abc/Qwen3-8B-Q4_K_M.gguf"),
        ({"LOCALAPPDATA": "local"}, "local/llama.cpp/a_b_Qwen3-8B-Q4_K_M.gguf"),
        ({"XDG_DATA_HOME": "xdg"}, "xdg/Jan/data/llamacpp/models/Qwen3-8B-Q4_K_M/model.gguf"),
        ({"APPDATA": "roaming"}, "roaming/Jan/data/llamacpp/models/Qwen3-8B-Q4_K_M/model.gguf"),
        ({"JAN_DATA_FOLDER": "jan"}, "jan/llamacpp/models/Qwen3-8B-Q4_K_M/model.gguf"),
        ({"XDG_DATA_HOME": "xdg"}, "xdg/nomic.ai/GPT4All/Qwen3-8B-Q4_K_M.gguf"),
        ({"LOCALAPPDATA": "local"}, "local/nomic.ai/GPT4All/Qwen3-8B-Q4_K_M.gguf"),
        ({"XDG_CONFIG_HOME": "xdg"}, "xdg/Jan/data/llamacpp/models/Qwen3-8B-Q4_K_M/model.gguf"),
    ],
)
def test_variables_move_the_places(tmp_path: Path, environ: dict[str, str], path: str) -> None:
    put(tmp_path / path)
    moved = {name: str(tmp_path / value) for name, value in environ.items()}
    assert [model.name for model in list_external_models(find_model_dirs(moved, tmp_path / "home"))] == ["8B"]


JAN_FILE = "disk/models/llamacpp/models/Qwen3-8B-Q4_K_M/model.gguf"
FILE = "disk/models/a/b/Qwen3-8B-Q4_K_M.gguf"


@pytest.mark.parametrize(
    ("path", "text", "file", "origin"),
    [
        (".lmstudio-home-pointer", "{folder}\n", FILE, Origin.LM_STUDIO),
        *(
            (
                f"{place}/LM Studio/settings.json",
                '{{"downloadsFolder": "{folder}/models"}}',
                FILE,
                Origin.LM_STUDIO,
            )
            for place in (".config", "Library/Application Support")
        ),
        *(
            (f"{place}/Jan/settings.json", '{{"data_folder": "{folder}/models"}}', JAN_FILE, Origin.JAN)
            for place in (".local/share", ".config", "Library/Application Support", "AppData/Roaming")
        ),
        *(
            (
                f"{place}/GPT4All.ini",
                "[General]\nlastVersion=3\nmodelPath={folder}/models/\n",
                FILE,
                Origin.GPT4ALL,
            )
            for place in (
                ".config/nomic.ai",
                ".config/gpt4all.io",
                "AppData/Roaming/nomic.ai",
                ".var/app/io.gpt4all.gpt4all/config/nomic.ai",
            )
        ),
    ],
)
def test_other_programs_may_keep_their_models_anywhere(
    tmp_path: Path, path: str, text: str, file: str, origin: Origin
) -> None:
    put(tmp_path / path, text.format(folder=(tmp_path / "disk").as_posix()).encode())
    put(tmp_path / file)
    (model,) = list_external_models(find_model_dirs({}, tmp_path))
    assert (model.name, model.origin) == ("8B", origin)
    assert model.repository == ("a/b" if origin is Origin.LM_STUDIO else None)


@pytest.mark.parametrize(
    "written", ['"{folder}/a, b; 模型"', r"{folder}/a, b; \x6a21\x578b", r'"{folder}/a\x2c b\x3b \x6a21型"']
)
def test_a_folder_is_read_as_qt_writes_it(tmp_path: Path, written: str) -> None:
    text = f"[download]\nmodelPath=/nowhere\n[General]\r\nmodelPath={written}\r\n"
    put(tmp_path / ".config/nomic.ai/GPT4All.ini", text.replace("{folder}", tmp_path.as_posix()).encode())
    put(tmp_path / "a, b; 模型/Qwen3-8B-Q4_K_M.gguf")
    (model,) = list_external_models(find_model_dirs({}, tmp_path))
    assert model.origin is Origin.GPT4ALL


@pytest.mark.parametrize(
    "value",
    ["", "3", "[1]", "null", '""', '"\\u0000"', '"/a\\u0000b"', '"\\ud800"', '"/\\ud800"', '"."', '"models"'],
)
def test_settings_of_other_programs_that_make_no_sense_name_no_folder(
    tmp_path: Path, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "Qwen3-8B-Q4_K_M.gguf")
    put(tmp_path / "models/Qwen3-8B-Q4_K_M.gguf")
    monkeypatch.chdir(tmp_path)
    for path, name in (("LM Studio", "downloadsFolder"), ("Jan", "data_folder")):
        put(tmp_path / ".config" / path / "settings.json", f'{{"{name}": {value}}}'.encode())
    plain = value.strip('"').encode().decode("unicode-escape").encode(errors="replace")
    put(tmp_path / ".config/nomic.ai/GPT4All.ini", b"[General]\nmodelPath=" + plain)
    put(tmp_path / ".config/gpt4all.io/GPT4All.ini", f"[General]\nmodelPath={value}\n".encode())
    put(tmp_path / ".lmstudio-home-pointer", plain)
    assert list_external_models(find_model_dirs({}, tmp_path)) == ()


@pytest.mark.parametrize("settings", [b"", b"[]", b"\xff", b"[" * 100_000, b"[General]", b"=\n[", b"\x00"])
def test_settings_of_other_programs_that_cannot_be_read_name_no_folder(
    tmp_path: Path, settings: bytes
) -> None:
    for path in ("LM Studio/settings.json", "Jan/settings.json", "nomic.ai/GPT4All.ini"):
        put(tmp_path / ".config" / path, settings)
    put(tmp_path / ".lmstudio-home-pointer", b"\xff\x00")
    assert list_external_models(find_model_dirs({}, tmp_path)) == ()


def test_a_file_in_the_cache_that_two_programs_share_is_listed_once(tmp_path: Path) -> None:
    put(tmp_path / "hub/models--a--b/snapshots/abc/Qwen3-8B-Q4_K_M.gguf")
    shared = {"HF_HUB_CACHE": str(tmp_path / "hub"), "LLAMA_CACHE": str(tmp_path / "hub")}
    (model,) = list_external_models(find_model_dirs(shared, tmp_path))
    assert (model.origin, model.repository) == (Origin.HUGGING_FACE, "a/b")


def test_ollama_can_be_moved(tmp_path: Path, demo_gguf: Path) -> None:
    ollama(tmp_path / "elsewhere", "8b", CHECKSUM, demo_gguf)
    (model,) = list_external_models(find_model_dirs({"OLLAMA_MODELS": str(tmp_path / "elsewhere")}, tmp_path))
    assert model.origin is Origin.OLLAMA


@pytest.mark.parametrize(
    "path",
    [
        f".cache/huggingface/hub/models--a--b/blobs/{CHECKSUM}",
        f".ollama/models/blobs/sha256-{CHECKSUM}",
        f".docker/models/blobs/sha256/{CHECKSUM}",
        ".config/Jan/data/llamacpp/models/Qwen3-8B-Q4_K_M/model.gguf",
        ".lmstudio/models/a/b/Qwen3-8B-Q4_K_M.gguf",
        ".cache/llama.cpp/a_b_Qwen3-8B-Q4_K_M.gguf",
    ],
)
def test_a_copy_is_known_by_its_size_with_name_or_checksum(
    model_dirs: ModelDirs, tmp_path: Path, path: str
) -> None:
    copy = put(tmp_path / path)
    assert list(find_local_copies("Qwen3-8B-Q4_K_M.gguf", len(DATA), CHECKSUM, model_dirs)) == [copy]
    assert list(find_local_copies("Qwen3-8B-Q4_K_M.gguf", len(DATA) + 1, CHECKSUM, model_dirs)) == []


def test_a_folder_under_two_spellings_counts_once(tmp_path: Path, demo_gguf: Path) -> None:
    settings = tmp_path / "Library" / "Application Support"
    file = settings / "Jan" / "data" / "llamacpp" / "models" / "Qwen3-8B-Q4_K_M" / "model.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(demo_gguf.read_bytes())
    (settings / "jan").symlink_to(settings / "Jan")  # as macOS finds it, where case does not count
    assert [model.path for model in list_external_models(find_model_dirs({}, tmp_path))] == [file]
    checksum, size_bytes = "0" * 64, file.stat().st_size
    copies = find_local_copies("Qwen3-8B-Q4_K_M.gguf", size_bytes, checksum, find_model_dirs({}, tmp_path))
    assert list(copies) == [file]


def test_the_apps_own_models_come_before_those_elsewhere(tmp_path: Path) -> None:
    external = (InstalledModel("8B", "Q4_K_M", tmp_path / "x", 1, 0, Origin.LM_STUDIO),)
    assert find_model_file(tmp_path / "models", parse("8b"), external) == tmp_path / "x"
    own = put(tmp_path / "models/Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf")
    assert find_model_file(tmp_path / "models", parse("8B:q4_k_m"), external) == own


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("8B:Q8_0", ErrorCode.MODEL_NOT_INSTALLED),
        ("unsloth/Qwen3-8B-GGUF:Q8_0", ErrorCode.MODEL_NOT_INSTALLED),
        ("9B", ErrorCode.MODEL_UNKNOWN),
    ],
)
def test_only_what_can_be_pulled_is_said_to_be(tmp_path: Path, reference: str, code: ErrorCode) -> None:
    with pytest.raises(ModelError) as raised:
        find_model_file(tmp_path, parse(reference))
    assert raised.value.code == code


def test_a_split_model_counts_once_with_all_its_bytes(tmp_path: Path) -> None:
    for number in (1, 2):
        put(tmp_path / f"Qwen3-32B-Q8_0-0000{number}-of-00002.gguf")
    (model,) = list_installed_models(tmp_path)
    assert (model.name, model.size_bytes, len(model.parts)) == ("32B", 2 * len(DATA), 2)


def test_a_link_that_leads_nowhere_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "Qwen3-8B-Q4_K_M.gguf").symlink_to(tmp_path / "gone")
    assert list_installed_models(tmp_path) == ()


def test_removing_takes_every_part_and_leaves_the_rest(tmp_path: Path) -> None:
    kept = put(tmp_path / "a/b/Qwen3-4B-Q8_0.gguf")
    for number in (1, 2):
        put(tmp_path / f"a/c/Q8_0/Qwen3-32B-Q8_0-0000{number}-of-00002.gguf")
    removal = plan_removal(tmp_path, parse("32B"))
    assert (len(removal.paths), removal.freed_bytes) == (2, 2 * len(DATA))
    apply_removal(removal, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]
    assert not (tmp_path / "a/c").exists()


def test_of_several_quants_one_must_be_named(tmp_path: Path) -> None:
    put(tmp_path / "Qwen3-4B-Q8_0.gguf")
    put(tmp_path / "Qwen3-4B-Q4_K_M.gguf")
    with pytest.raises(UsageError, match="4B:Q4_K_M, 4B:Q8_0"):
        plan_removal(tmp_path, parse("4B"))
    assert len(plan_removal(tmp_path, parse("4B:Q8_0")).paths) == 1


def test_a_model_of_another_program_is_not_removed(tmp_path: Path) -> None:
    external = (InstalledModel("8B", "Q4_K_M", tmp_path / "x", 1, 0, Origin.OLLAMA),)
    with pytest.raises(ModelError, match="belongs to Ollama"):
        plan_removal(tmp_path / "models", parse("8B"), external)


def test_folders_that_the_user_names_are_looked_into(tmp_path: Path) -> None:
    named = put(tmp_path / "gguf/deep/Qwen3-8B-Q4_K_M.gguf")
    model_dirs = find_model_dirs({}, tmp_path / "home", [str(tmp_path / "gguf")])
    (model,) = list_external_models(model_dirs)
    assert (model.name, model.path, model.origin) == ("8B", named, Origin.CONFIGURED)
    assert list(find_local_copies("Qwen3-8B-Q4_K_M.gguf", len(DATA), CHECKSUM, model_dirs)) == [named]


def test_a_file_whose_name_tells_no_quant_is_listed_by_its_header(tmp_path: Path, demo_gguf: Path) -> None:
    shutil.copy(demo_gguf, tmp_path / "Qwen3-my-own.gguf")
    put(tmp_path / "broken.gguf")
    (model,) = list_installed_models(tmp_path)
    assert (model.name, model.quant) == ("my-own", "Q8_0")
    assert find_model_file(tmp_path, parse("my-own:q8_0")) == model.path
