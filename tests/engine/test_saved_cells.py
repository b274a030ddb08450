from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.in_process import clear_context, open_model
from qwen3_chat.engine.worker.llama_model import LlamaModel

KNOWN, REST = list(range(300, 500)), list(range(600, 608))


@pytest.fixture(scope="module")
def model(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    yield from open_model(demo_gguf, tmp_path_factory.mktemp("log") / "engine.log", n_ctx=512)


def logits_after(model: LlamaModel, tokens: list[int]) -> list[float]:
    for _ in model.context.evaluate(tokens):
        pass
    logits = model.context.native.logits(-1)
    return list(logits[: model.vocab.n_tokens])


def test_cells_from_a_file_give_the_very_same_logits(model: LlamaModel, tmp_path: Path) -> None:
    context = model.context
    clear_context(model)
    logits_after(model, KNOWN)
    assert context.save(tmp_path / "cells", KNOWN)
    expected = logits_after(model, REST)
    clear_context(model)
    assert context.load(tmp_path / "cells", len(KNOWN))
    assert context.keep_prefix([*KNOWN, *REST]) == len(KNOWN)
    assert logits_after(model, REST) == expected


def test_what_was_not_evaluated_is_not_saved(model: LlamaModel, tmp_path: Path) -> None:
    clear_context(model)
    logits_after(model, KNOWN)
    assert not model.context.save(tmp_path / "cells", [*KNOWN, 7])
    assert not model.context.save(tmp_path / "cells", [])


def test_what_is_no_saved_cells_leaves_the_context_usable(model: LlamaModel, tmp_path: Path) -> None:
    clear_context(model)
    expected = logits_after(model, KNOWN)
    (tmp_path / "cells").write_bytes(bytes(1000))
    assert not model.context.load(tmp_path / "cells", len(KNOWN))
    clear_context(model)
    assert logits_after(model, KNOWN) == expected
