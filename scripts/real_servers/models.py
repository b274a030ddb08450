"""The models that the real servers serve: the demo model, and ones made from it that never stop."""

from __future__ import annotations

from pathlib import Path

from demo_to_hugging_face import write_folder
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.engine.worker.vocab import Vocab
from real_servers.recipes import ServedFiles
from tests.engine import model_files
from tests.prompt.conftest import opened


def make_demo(folder: Path) -> ServedFiles:
    """Return the demo model in both forms."""
    return _both_forms(DEMO_FILE, folder / "Qwen3-demo")


def make_tireless(folder: Path, *, is_mute_in_thought: bool) -> ServedFiles:
    """Return a model that never ends its reply, and neither its thinking where it is mute in that."""
    name = "Qwen3-musing" if is_mute_in_thought else "Qwen3-tireless"

    def change(data: bytes) -> bytes:
        for source in opened(DEMO_FILE):
            muted = model_files.mute(data, source.vocab, _never(source.vocab, is_mute_in_thought))
            return model_files.with_number(muted, "qwen3.context_length", model_files.LONG_N_CTX)
        raise AssertionError("the demo model has a vocabulary")

    return _both_forms(model_files.make(folder / f"{name}.gguf", DEMO_FILE, change), folder / name)


def _never(vocab: Vocab, is_mute_in_thought: bool) -> list[int]:
    return [*sorted(vocab.end_ids), *([vocab.specials["</think>"]] if is_mute_in_thought else [])]


def _both_forms(gguf: Path, folder: Path) -> ServedFiles:
    write_folder(gguf, folder)
    return ServedFiles(gguf, folder)
