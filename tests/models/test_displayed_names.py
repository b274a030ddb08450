"""The name shown for a model's file: its header's, or the file's own where that says more."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_chat.demo import DEMO_MODEL_NAME
from qwen3_chat.models.displayed_names import displayed_name

BILLION = 1_000_000_000
SNAPSHOT = "9c5e5d2b1a7f4c0d8e6b3a2f1c0d9e8f7a6b5c4d"
BLOB = f"sha256-{'4824460d' * 8}"


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Qwen3 8B", "Qwen3 8B"),
        ("Qwen3-8B", "Qwen3-8B"),
        ("Qwen3 8B Instruct 2507", "Qwen3 8B Instruct 2507"),
        ("Qwen/Qwen3-8B", "Qwen3-8B"),
        ("/srv/models/Qwen3-8B/", "Qwen3-8B"),
        (r"C:\models\Qwen3-8B", "Qwen3-8B"),
        ("  Qwen3\t8B\n", "Qwen3 8B"),
        ("Qwen3\u202e 8B\x1b", "Qwen3 8B"),
        ("通义千问3 8B", "通义千问3 8B"),
        ("Tiny Dolphin", "Tiny Dolphin"),
    ],
)
def test_a_title_that_names_a_model_is_shown(title: str, shown: str) -> None:
    assert displayed_name(title, Path("Qwen3-Q4_K_M.gguf"), 8 * BILLION) == shown


@pytest.mark.parametrize(
    "title",
    [
        "",
        "   \t\n",
        "\x00\x01\x1b",
        "\u200b\u202e",
        ".",
        "Models",
        "models",
        "My Model",
        "Merged 16",
        "Checkpoint 1500",
        "Output Final",
        "Gguf",
        "dl",
        "8B",
        "Hf F16",
        "Snapshots",
        SNAPSHOT,
        SNAPSHOT.title(),
        "4Fdc2B70 9C1E 4A5B 8D3F 0123456789Ab",
        "tmpk3x9_q2a",
        "/workspace/output/",
        f"/models/hub/{SNAPSHOT}",
        "N/A",
        "Qwen3 8B " * 10,
        "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}wen3",
        "LLaMA v2",
        "Qwen2.5 8B Instruct",
        "Qwen3",
        "Qwen3 70B",
    ],
)
def test_a_title_that_names_none_or_another_gives_way_to_the_files_name(title: str) -> None:
    path = Path("/models/Qwen3-8B-Instruct-Q4_K_M.gguf")
    assert displayed_name(title, path, 8 * BILLION) == "Qwen3-8B-Instruct"


@pytest.mark.parametrize(
    ("title", "file", "shown"),
    [
        (
            "Smollm2 135M 8k Lc100K Mix1 Ep2",
            "SmolLM2-135M-Instruct.Q4_1.gguf",
            "SmolLM2-135M-Instruct",
        ),
        ("LLaMA v2", "llama-2-13b-chat.Q4_K_M.gguf", "llama-2-13b-chat"),
        ("LLaMA v2", "mistral-7b-openorca.Q5_K_M.gguf", "mistral-7b-openorca"),
        (
            "Llama 3.1 70B Instruct 2024 12",
            "Llama-3.3-70B-Instruct-Q4_K_M-00001-of-00002.gguf",
            "Llama-3.3-70B-Instruct",
        ),
        ("Llama 3.3 70B Instruct", "llama-70b.Q8_0.gguf", "Llama 3.3 70B Instruct"),
        (
            "DeepSeek R1 Distill Qwen 14B",
            "DeepSeek-R1-Distill-Qwen-14B-Q8_0.gguf",
            "DeepSeek R1 Distill Qwen 14B",
        ),
        ("Mixtral 8x7B Instruct", "mixtral-8x7b-instruct.Q4_K_M.gguf", "Mixtral 8x7B Instruct"),
        ("Gemma 3 4b It", "gemma-3-4b-it-q4_0.gguf", "Gemma 3 4b It"),
        ("Qwen3 30B A3B", "Qwen3-30B-A3B-UD-Q4_K_XL.gguf", "Qwen3 30B A3B"),
        ("Qwen3 8B", f"blobs/{BLOB}", "Qwen3 8B"),
        ("Models", f"blobs/{BLOB}", "Models"),
        (SNAPSHOT, f"blobs/{BLOB}", BLOB),
        ("", "model.gguf", "model"),
        ("Qwen3 8B", "Qwen3-4B-Q8_0/model.gguf", "Qwen3 8B"),
        ("", "Qwen3-4B-Q8_0/model.gguf", "Qwen3-4B"),
        ("models", "someone/model.gguf", "models"),
        ("", "Q8_0.gguf", ""),
        (DEMO_MODEL_NAME, "Qwen3-0.6B-Q8_0.gguf", DEMO_MODEL_NAME),
    ],
)
def test_of_two_names_the_better_one_is_shown(title: str, file: str, shown: str) -> None:
    assert displayed_name(title, Path(file)) == (shown or Path(file).stem)


@given(st.text(max_size=200), st.text(min_size=1, max_size=60), st.integers(min_value=0))
def test_a_name_is_one_visible_line(title: str, file: str, n_weights: int) -> None:
    path = Path("folder", file.replace("/", "").replace("\x00", "") or "x")
    shown = displayed_name(title, path, n_weights)
    assert shown.isprintable()
    assert shown == shown.strip()
