"""The comparison of two greedy replies to one request."""

from __future__ import annotations

from benchmarks.in_process import Turn, clear_context
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.engine.worker.prompt_ids import tokenise

NOISE_LOGITS = 0.5
"""The most that two logits may differ when their context was evaluated in other batches or cells.

`scripts/bench exactness` measures it: up to 0.35 on models as sure of themselves as the demo model.
"""


def check_agree(model: LlamaModel, first: Turn, second: Turn) -> bool:
    """Check that two greedy replies to one request are equal, but for a choice between equally good tokens.

    Return True if they are equal to the last token.
    """
    assert first.request == second.request
    if first.message == second.message:
        return True
    ids = (first.message.token_ids, second.message.token_ids)
    n_common = next(i for i, pair in enumerate(zip(*ids, strict=False)) if pair[0] != pair[1])
    prompt = tokenise(model.template.render_request(first.request), model.vocab, first.request)
    clear_context(model)
    list(model.context.evaluate([*prompt, *ids[0][:n_common]]))
    logits = model.context.native.logits(-1)
    assert abs(logits[ids[0][n_common]] - logits[ids[1][n_common]]) < NOISE_LOGITS
    return False
