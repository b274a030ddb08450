"""The evaluated tokens of a model, kept from one reply to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from llama_cpp import llama_cpp as L  # noqa: N812 - short, as everywhere in the worker

from qwen3_chat.engine.worker.abort import AbortFlag, abort_callback
from qwen3_chat.errors import EngineError

_SEQUENCE = 0
_NO_ROOM, _ABORTED = 1, 2  # of llama_decode


class AbortedError(Exception):
    """The abort flag went up; what was evaluated before stays."""


class Context:
    """A context of llama.cpp with one sequence: `tokens` are those in its KV cache, in order."""

    def __init__(self, pointer: Any, chunk_tokens: int) -> None:
        self.pointer = pointer
        self.n_ctx: int = L.llama_n_ctx(pointer)
        self.tokens: list[int] = []
        self._chunk_tokens = chunk_tokens
        self._memory = L.llama_get_memory(pointer)
        self._abort = AbortFlag()
        self._abort_callback = abort_callback(L.ggml_abort_callback)
        self._next = (L.llama_token * 1)()
        self._batch_of_next = L.llama_batch_get_one(self._next, 1)

    @property
    def free_tokens(self) -> int:
        """How many more tokens fit."""
        return self.n_ctx - len(self.tokens)

    def watch(self, abort: AbortFlag) -> None:
        """Let this flag stop whatever is evaluated from now on."""
        self._abort = abort
        L.llama_set_abort_callback(self.pointer, self._abort_callback, abort.pointer)

    def keep_prefix(self, prompt: Sequence[int]) -> int:
        """Forget what differs from `prompt`; return how many tokens of it are there.

        The last token is never among them: it has to be evaluated for its output.
        """
        end = min(len(self.tokens), len(prompt) - 1)
        kept = next((i for i in range(end) if self.tokens[i] != prompt[i]), end)
        if kept < len(self.tokens):
            if not L.llama_memory_seq_rm(self._memory, _SEQUENCE, kept, -1):
                L.llama_memory_clear(self._memory, True)
                kept = 0
            del self.tokens[kept:]
        return kept

    def evaluate(self, tokens: Sequence[int]) -> Iterator[int]:
        """Evaluate tokens chunk by chunk; yield how many are done after each.

        Raises:
            AbortedError: the flag went up.
            EngineError: llama.cpp could not evaluate them.
        """
        for start in range(0, len(tokens), self._chunk_tokens):
            if self._abort.is_up():  # most GPUs don't look at the flag
                raise AbortedError
            chunk = tokens[start : start + self._chunk_tokens]
            ids = (L.llama_token * len(chunk))(*chunk)
            status: int = L.llama_decode(self.pointer, L.llama_batch_get_one(ids, len(chunk)))
            self.tokens.extend(chunk)
            self._check(status)
            yield start + len(chunk)

    def append(self, token: int) -> None:
        """Evaluate one token; raises as `evaluate` does."""
        self._next[0] = token
        status: int = L.llama_decode(self.pointer, self._batch_of_next)
        self.tokens.append(token)
        if status:
            self._check(status)

    def _check(self, status: int) -> None:
        if status == 0:
            return
        # Of a batch that failed, earlier parts may have been evaluated: llama.cpp knows how much is there.
        del self.tokens[L.llama_memory_seq_pos_max(self._memory, _SEQUENCE) + 1 :]
        if status == _ABORTED:
            raise AbortedError
        if status == _NO_ROOM:
            raise EngineError("engine.no_room", n_ctx=self.n_ctx)
        raise EngineError("engine.evaluation_failed", status=status)
