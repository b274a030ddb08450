"""Removal of exactly one model, and the listing of what downloads left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from qwen3_chat.errors import UsageError
from qwen3_chat.models.catalog import ModelReference
from qwen3_chat.models.library import (
    apply_removal,
    find_model_file,
    list_installed_models,
    list_partial_downloads,
    list_stored_files,
    plan_removal,
)

UNSLOTH, OFFICIAL = "unsloth/Qwen3-0.6B-GGUF", "Qwen/Qwen3-0.6B-GGUF"
FILE = "Qwen3-0.6B-Q8_0.gguf"
SPLIT = "unsloth/Qwen3-235B-A22B-GGUF/Q8_0/Qwen3-235B-A22B-Q8_0-0000{number}-of-00003.gguf"
PART_OF_SPLIT = f"{SPLIT.format(number=3)}.d98cdcbd03e17ce4.part"
parse = ModelReference.parse
Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(path: str, data: bytes = b"GGUF") -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return file

    return write


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def remove(folder: Path, text: str) -> None:
    apply_removal(plan_removal(folder, parse(text)), folder)


@pytest.mark.parametrize("text", ["0.6B", "0.6B:Q8_0", "0.6B:Q8", "qwen3:0.6b"])
def test_a_name_of_two_publishers_removes_neither_and_lists_both(tmp_path: Path, put: Put, text: str) -> None:
    put(f"{UNSLOTH}/{FILE}")
    put(f"{OFFICIAL}/{FILE}")
    with pytest.raises(UsageError, match=rf"name exactly one of {OFFICIAL}:Q8_0, {UNSLOTH}:Q8_0"):
        plan_removal(tmp_path, parse(text))
    assert len(left(tmp_path)) == 2


@pytest.mark.parametrize(
    "text",
    [
        f"{UNSLOTH}:Q8_0",
        f"{UNSLOTH}:q8",
        UNSLOTH,
        UNSLOTH.lower(),
        f"{UNSLOTH}:{FILE}",
        f"{UNSLOTH}/{FILE}",
        f"hf.co/{UNSLOTH}:Q8_0",
        f"https://huggingface.co/{UNSLOTH}/resolve/main/{FILE}?download=true",
        f"https://modelscope.cn/models/{UNSLOTH}",
    ],
)
def test_what_pull_takes_names_the_model_for_rm_and_model_too(tmp_path: Path, put: Put, text: str) -> None:
    wanted, other = put(f"{UNSLOTH}/{FILE}"), put(f"{OFFICIAL}/{FILE}")
    assert find_model_file(tmp_path, parse(text)) == wanted
    remove(tmp_path, text)
    assert left(tmp_path) == [f"{OFFICIAL}/{FILE}"]
    assert other.exists()


def test_every_name_that_is_offered_means_one_model(tmp_path: Path, put: Put) -> None:
    paths = (
        f"{UNSLOTH}/{FILE}",
        f"{UNSLOTH}/Q8_0/{FILE}",
        f"{OFFICIAL}/{FILE}",
        f"{OFFICIAL}/{FILE}.d98cdcbd03e17ce4.part",
        f"{OFFICIAL}/Qwen3-0.6B-Q4_K_M.gguf",
        FILE,
        f"mine/{FILE}",
    )
    for path in paths:
        put(path)
    with pytest.raises(UsageError) as raised:
        plan_removal(tmp_path, parse("0.6B"))
    names = str(raised.value.values["names"]).split(", ")
    assert len(names) == len(set(names)) == 6
    for name in names:
        remove(tmp_path, name)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "paths",
    [
        [SPLIT.format(number=1), SPLIT.format(number=2), PART_OF_SPLIT, f"{PART_OF_SPLIT}.lock"],
        [SPLIT.format(number=1), SPLIT.format(number=2)],
        [SPLIT.format(number=2), SPLIT.format(number=3)],
        [SPLIT.format(number=1), PART_OF_SPLIT, f"{PART_OF_SPLIT}.pieces", f"{PART_OF_SPLIT}.link"],
        [SPLIT.format(number=number) for number in (1, 2, 3)] + [PART_OF_SPLIT],
    ],
    ids=[
        "two and a part",
        "the last is missing",
        "the first is missing",
        "one and a part",
        "a newer version",
    ],
)
@pytest.mark.parametrize("text", ["235B-A22B", "235B-A22B:Q8_0", "unsloth/Qwen3-235B-A22B-GGUF"])
def test_a_set_that_misses_parts_is_listed_and_removed_whole(
    tmp_path: Path, put: Put, paths: list[str], text: str
) -> None:
    for path in paths:
        put(path, b"1234")
    own = sum(path.endswith((".gguf", ".part")) for path in paths)
    (partial,) = list_partial_downloads(tmp_path)
    assert (partial.name, partial.quant, partial.size_bytes) == ("235B-A22B", "Q8_0", 4 * own)
    assert plan_removal(tmp_path, partial.reference) == plan_removal(tmp_path, parse(text))
    assert plan_removal(tmp_path, parse(text)).freed_bytes == 4 * own
    remove(tmp_path, text)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["my-model.gguf.d98cdcbd03e17ce4.part", "empty-Q8_0.gguf"])
def test_any_leftover_has_a_name_that_removes_it(tmp_path: Path, put: Put, name: str) -> None:
    put(f"a/b/{name}", b"" if name.endswith(".gguf") else b"1234")
    (stored,) = list_stored_files(tmp_path)
    assert stored.is_partial
    remove(tmp_path, str(stored.reference))
    assert list(tmp_path.iterdir()) == []


def test_traces_of_a_download_make_no_name_ambiguous(tmp_path: Path, put: Put) -> None:
    put(f"{UNSLOTH}/{FILE}")
    put(f"{OFFICIAL}/{FILE}.d98cdcbd03e17ce4.part.lock", b"")
    assert [partial.name for partial in list_partial_downloads(tmp_path)] == []
    remove(tmp_path, "0.6B")
    assert left(tmp_path) == [f"{OFFICIAL}/{FILE}.d98cdcbd03e17ce4.part.lock"]
    remove(tmp_path, "0.6B")
    assert list(tmp_path.iterdir()) == []


UNSUITABLE = {
    "Qwen3-Embedding-0.6B-Q8_0.gguf": "embedding",
    "qwen3-embedding-8b-q4_k_m.gguf": "embedding",
    "Qwen3-Reranker-0.6B.Q8_0.gguf": "reranker",
    "mmproj-Qwen3-VL-4B-F16.gguf": "projector",
    "Qwen3-VL-4B-mmproj-F16.gguf": "projector",
    "Qwen3-VL-2B-vision-encoder-F16.gguf": "projector",
    "Qwen3-8B-draft-Q4_0.gguf": "draft",
    "Qwen3-8B-EAGLE3-F16.gguf": "draft",
    "Qwen3-8B-lora-F16.gguf": "adapter",
    "Qwen3-8B-imatrix-F16.gguf": "adapter",
    "Qwen3-TTS-12Hz-1.7B-Base-Q8_0.gguf": "speech",
    "Qwen3-ASR-1.7B-Q8_0.gguf": "speech",
    "Qwen3-ForcedAligner-0.6B-F16.gguf": "speech",
}


@pytest.mark.parametrize(("name", "kind"), UNSUITABLE.items(), ids=UNSUITABLE)
def test_what_cannot_chat_is_no_model_but_can_be_removed(
    tmp_path: Path, put: Put, name: str, kind: str
) -> None:
    put(f"a/b/{name}")
    assert list_installed_models(tmp_path) == ()
    (stored,) = list_stored_files(tmp_path)
    assert stored.unsuitable_kind == kind
    remove(tmp_path, f"a/b:{name}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "Qwen3-8B-Q4_K_M.gguf",
        "Qwen3-VL-4B-Instruct-Q4_K_M.gguf",
        "Qwen3.6-27B-MTP-Q4_K_M.gguf",
        "Qwen3-4B-Drafting-Assistant-Q8_0.gguf",
        "Qwen3-8B-Exploration-Q8_0.gguf",
    ],
)
def test_what_can_chat_is_not_mistaken(tmp_path: Path, put: Put, name: str) -> None:
    put(f"a/b/{name}")
    assert len(list_installed_models(tmp_path)) == 1


def test_an_empty_file_is_no_model(tmp_path: Path, put: Put) -> None:
    put(f"{UNSLOTH}/{FILE}", b"")
    assert list_installed_models(tmp_path) == ()
