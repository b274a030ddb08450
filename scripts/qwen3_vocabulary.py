"""Qwen3's vocabulary and many chat templates for the tests, taken once from llama.cpp's source into `build`.

llama-cpp-python's source package brings the vocabulary of Qwen2 and the templates of Qwen3 and of some sixty
other models, each under the licence of its model, so they are not in this repository. Qwen3 has the same
vocabulary but for the tokens it added, whose ids are fixed (tokenizer_config.json of Qwen/Qwen3-0.6B).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from environment import ROOT, compiled_requirement, prepare_environment
from llama_programs import unpack
from pip_run import PipFailed, error_lines, run_pip
from speech import t

FOLDER = ROOT / "build" / "qwen3"
VOCABULARY = FOLDER / "vocabulary.gguf"
TEMPLATE = FOLDER / "chat_template.jinja"
ALL_TEMPLATES = FOLDER / "templates"

N_TOKENS = 151_936
FIRST_ADDED_ID = 151_643
ADDED_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    *("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"),
    *("<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|vision_pad|>", "<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>"),
    *("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),
    *("<tool_response>", "</tool_response>", "<think>", "</think>"),
)
_MODELS = "*/vendor/llama.cpp/models"
_VOCABULARY_OF_QWEN2 = f"{_MODELS}/ggml-vocab-qwen2.gguf"
_TEMPLATES = f"{_MODELS}/templates"
_TEMPLATE_OF_QWEN3 = "Qwen-Qwen3-0.6B.jinja"


def main() -> int:
    """Make the files where they are missing; without them, the tests that need them are skipped."""
    requirement = compiled_requirement(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8")))
    stamp = FOLDER / "source.txt"
    if ALL_TEMPLATES.is_dir() and stamp.is_file() and stamp.read_text("utf-8") == requirement:
        return 0
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="qwen3-") as name:
            templates, vocabulary = _download(requirement, Path(name))
            shutil.copytree(templates, ALL_TEMPLATES, dirs_exist_ok=True)
            TEMPLATE.write_text((templates / _TEMPLATE_OF_QWEN3).read_text("utf-8"), "utf-8")
            write_vocabulary(vocabulary, TEMPLATE.read_text("utf-8"), VOCABULARY)
        stamp.write_text(requirement, "utf-8")
    except PipFailed as failure:
        print(t("scripts.no_vocabulary", reason="".join(error_lines(failure.lines, 1))), file=sys.stderr)
    except OSError as error:  # a full disk, a checkout that may not be written
        print(t("scripts.no_vocabulary", reason=error), file=sys.stderr)
    return 0


def write_vocabulary(qwen2: Path, template: str, path: Path) -> None:
    """Write a GGUF file without tensors: Qwen3's tokens, its template, the shape of its 0.6B."""
    import gguf

    fields = gguf.GGUFReader(qwen2).fields
    tokens, token_types, merges = (
        fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "token_type", "merges")
    )
    n_padding = N_TOKENS - FIRST_ADDED_ID - len(ADDED_TOKENS)
    padding = [f"[PAD{N_TOKENS - n_padding + index}]" for index in range(n_padding)]
    added_types = [
        gguf.TokenType.CONTROL if token.startswith("<|") else gguf.TokenType.USER_DEFINED
        for token in ADDED_TOKENS
    ]
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_name("Qwen3's vocabulary")
    writer.add_block_count(28)
    writer.add_context_length(40_960)
    writer.add_embedding_length(1024)
    writer.add_feed_forward_length(3072)
    writer.add_head_count(16)
    writer.add_head_count_kv(8)
    writer.add_key_length(128)
    writer.add_value_length(128)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*tokens[:FIRST_ADDED_ID], *ADDED_TOKENS, *padding])
    writer.add_token_types(
        [
            *map(int, token_types[:FIRST_ADDED_ID]),
            *map(int, added_types),
            *[int(gguf.TokenType.UNUSED)] * n_padding,
        ]
    )
    writer.add_token_merges(merges)
    writer.add_bos_token_id(FIRST_ADDED_ID)
    writer.add_eos_token_id(FIRST_ADDED_ID + 2)
    writer.add_pad_token_id(FIRST_ADDED_ID)
    writer.add_add_bos_token(False)
    writer.add_chat_template(template)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def _download(requirement: str, folder: Path) -> tuple[Path, Path]:
    """Download the source package through pip; return the paths of its templates and its vocabulary.

    Raises:
        PipFailed: the package could not be downloaded.
    """
    options = ("--no-binary", "llama-cpp-python", "--no-deps", "--retries", "1")
    with open(FOLDER / "download.log", "w", encoding="utf-8") as log:
        run_pip(
            prepare_environment().python,
            ["download", *options, "--dest", str(folder), requirement],
            log,
            dict(os.environ),
        )
    (archive,) = folder.glob("llama_cpp_python-*.tar.gz")
    unpack(archive, folder)
    return next(folder.glob(_TEMPLATES)), next(folder.glob(_VOCABULARY_OF_QWEN2))


if __name__ == "__main__":
    sys.exit(main())
