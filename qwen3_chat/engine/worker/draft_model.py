"""A small model that drafts the next tokens of a larger one, which `prompt_lookup` then verifies.

Both have to write with the same tokens. The small one goes on, always with its most probable token, as long
as it is sure; it has a context of its own, in which it follows the text that the larger one has written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.worker.abort_flag import AbortFlag
from qwen3_chat.engine.worker.llama_context import MAX_OUTPUTS, Context
from qwen3_chat.engine.worker.native_library import NativeLibrary, NativeModel, NativeVocab
from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError, ModelError
from qwen3_chat.events import Notice
from qwen3_chat.models.displayed_names import displayed_name
from qwen3_chat.models.gguf import COMPARED_EVERY, GgufHeader, read_file
from qwen3_chat.record_copies import replace
from qwen3_chat.request import MAX_DRAFT_N_CTX, N_SEQUENCES

MIN_PROBABILITY: Final = 0.75
"""The least probability of a drafted token: less probable ones are rejected too often."""


class DraftModel:
    """A draft model that is loaded, in its own context."""

    def __init__(self, native: NativeModel, context: Context, name: str, n_parameters: int) -> None:
        self.name = name
        self.n_parameters = n_parameters
        self._native = native
        self._context = context
        self._n_vocab = native.vocab.n_tokens
        self._has_failed = False

    def set_abort_flag(self, abort: AbortFlag) -> None:
        """Make this flag the one that stops its evaluations."""
        self._context.set_abort_flag(abort)

    def has_room_for(self, n_tokens: int) -> bool:
        """Return whether a text of so many tokens, its drafts included, fits into its context."""
        return n_tokens <= self._context.n_ctx and not self._has_failed

    def follow(self, tokens: Sequence[int]) -> int:
        """Evaluate a text, as far as that is not done; return the number of tokens that were evaluated.

        Raises:
            AbortedError: the flag was set.
        """
        if self._has_failed:
            return 0
        try:
            n_kept = self._context.keep_prefix(tokens)
            for _ in self._context.evaluate(tokens[n_kept:]):
                pass
        except EngineError:  # the reply goes on without drafts
            self._has_failed = True
            return 0
        return len(tokens) - n_kept

    def draft(self, length: int) -> list[int]:
        """Return the tokens after the text that it follows, as long as they are probable, `length` at most.

        Raises:
            AbortedError: the flag was set.
        """
        drafted = list[int]()
        while not self._has_failed and len(drafted) < length:
            token, probability = self._most_probable()
            if probability < MIN_PROBABILITY:
                break
            drafted.append(token)
            if len(drafted) < length:
                try:
                    self._context.append(token)
                except EngineError:
                    self._has_failed = True
        return drafted

    def _most_probable(self) -> tuple[int, float]:
        logits = np.ctypeslib.as_array(self._context.native.logits(-1), (self._n_vocab,))
        token = int(logits.argmax())
        return token, float(1 / np.exp(logits - logits[token]).sum())


def load_draft_model(
    library: NativeLibrary, path: Path, target: GgufHeader, vocab: Vocab, plan: LoadPlan
) -> DraftModel | tuple[Notice, ...]:
    """Load a draft model beside the model that it drafts for; return notices where that makes no sense.

    It is wholly where the other one is: on the GPU or on the processor.
    """
    name = path.name
    not_loaded = Notice("engine.draft_not_loaded", {"name": name})
    if target.number(f"{target.architecture}.expert_count"):
        return (Notice("engine.draft_for_experts", {"name": name}),)
    try:
        header = read_file(path)
    except ModelError as error:
        if error.code is ErrorCode.MODEL_FILE_MISSING:
            return (Notice("engine.draft_gone", {"name": name}),)
        return Notice(error.code.text_key, error.plain_values), not_loaded
    draft_plan = replace(
        plan.with_placement(header.n_layers if plan.is_all_on_gpu else 0, 0),
        n_layers=header.n_layers,
        n_ctx=min(plan.n_ctx, MAX_DRAFT_N_CTX),
        yarn_factor=1.0,
        yarn_base_n_ctx=0,
    )
    native = library.load_model(path, draft_plan, header.architecture, lambda fraction: True)
    if native is None:
        return (not_loaded,)
    context = None
    if _have_same_tokens(native.vocab, vocab.native) and not native.keeps_states:
        context = native.make_context(draft_plan, N_SEQUENCES, MAX_OUTPUTS)
        if context is not None:
            shape = header.shape  # counts all parts of a split file
            parameters = shape.parameters if shape else header.parameters
            return DraftModel(
                native,
                Context(context, draft_plan.n_ubatch),
                displayed_name(header.name, path, parameters),
                parameters,
            )
        native.free()
        return (not_loaded,)
    native.free()
    return (Notice("engine.draft_other_tokens", {"name": name}),)


def _have_same_tokens(first: NativeVocab, second: NativeVocab) -> bool:
    if first.n_tokens != second.n_tokens or first.special_ids() != second.special_ids():
        return False
    compared = {*range(0, first.n_tokens, COMPARED_EVERY), *first.special_ids()}
    return all(first.spelling(token) == second.spelling(token) for token in compared)
