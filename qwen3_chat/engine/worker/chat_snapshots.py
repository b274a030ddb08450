"""The snapshots of evaluated chats, with which a chat continues after another chat or in a new process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from qwen3_chat.chat import StopReason
from qwen3_chat.engine.kv_snapshot_store import KVSnapshotStore
from qwen3_chat.engine.worker.fingerprint import model_fingerprint
from qwen3_chat.engine.worker.llama_context import common_length
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.engine.worker.prefetch import next_prompt_prefix
from qwen3_chat.engine.worker.reply_generator import ReplyGenerator
from qwen3_chat.events import EngineEvent, PrefillProgressed
from qwen3_chat.request import PersistenceOptions

_LOAD_SPEEDUP = 8
"""The approximate speed of loading a snapshot, its checks included, as a multiple of that of evaluating."""
_MIN_TIMED_TOKENS = 32
"""The number of tokens from which on a measured time is reliable."""


class ChatSnapshots:
    """The snapshots of chats that took long to evaluate; a chat without an intact one is evaluated again."""

    def __init__(self, model: LlamaModel, persistence: PersistenceOptions) -> None:
        self._model = model
        self._min_evaluation_s = persistence.worth_s
        self._store = KVSnapshotStore.from_options(persistence)
        self._store.remove_abandoned_files()
        self._fingerprint = model_fingerprint(
            Path(model.description.path), model.build, model.context.native.kv_layout
        )
        self._token_s = 0.0
        """The time of evaluating one token of a prompt; 0 before it was measured."""

    def time_evaluation(self, events: Iterable[EngineEvent]) -> Iterator[EngineEvent]:
        """Pass on the events of a reply, and time the evaluation of its prompt by them.

        Once there is a time, only one of at least `_MIN_TIMED_TOKENS` tokens replaces it.
        """
        started_s, n_evaluated = time.perf_counter(), 0
        for event in events:
            if isinstance(event, PrefillProgressed):
                if not (n_evaluated := event.done - event.reused):
                    started_s = time.perf_counter()
                elif n_evaluated >= _MIN_TIMED_TOKENS or not self._token_s:
                    self._token_s = (time.perf_counter() - started_s) / n_evaluated
            yield event

    def load(self, chat_id: int, prompt: Sequence[int]) -> None:
        """Load the snapshot of a chat if that is faster than evaluating the tokens that the KV cache lacks.

        Raises:
            OSError: the store can't be written to.
        """
        context = self._model.context
        snapshot = self._store.find(chat_id, self._fingerprint)
        if snapshot is None:
            return
        tokens = snapshot.metadata.tokens
        n_gained = common_length(tokens, prompt) - context.common_length(prompt)
        if n_gained * _LOAD_SPEEDUP < len(tokens) or len(tokens) > context.n_ctx:
            return
        if not snapshot.is_intact():
            self._store.remove(chat_id)
            return
        self._store.mark_loading(chat_id)
        is_loaded = context.load(snapshot.path, len(tokens)) and context.previous_chat == tokens
        self._store.mark_loaded(chat_id)
        if not is_loaded:
            self._store.remove(chat_id)

    def save(self, reply: ReplyGenerator, on_start: Callable[[], None]) -> None:
        """Save the evaluated tokens of a chat after its latest reply, if evaluating them takes long enough.

        `on_start` is called before the file is written. A chat whose snapshot is on disk may lose its cells
        in the KV cache when another chat begins.

        Raises:
            EngineError: the chat can't be rendered.
            OSError: the disk is full, or the file can't be written for another reason.
        """
        chat_id = reply.request.chat_id
        if chat_id is None:
            return
        tokens = self._tokens_to_save(reply)
        snapshot = self._store.find(chat_id, self._fingerprint)
        n_saved = common_length(snapshot.metadata.tokens, tokens) if snapshot else 0
        if (len(tokens) - n_saved) * self._token_s <= self._min_evaluation_s:
            self._model.context.may_discard_chat = n_saved > len(tokens) // 2
            return
        if not self._store.has_room_for(self._model.context.max_saved_bytes):
            return
        on_start()
        partial_file = self._store.create_partial_file(chat_id)
        if self._model.context.save(partial_file, tokens):
            self._store.commit(chat_id, partial_file, self._fingerprint, tokens)
            self._model.context.may_discard_chat = True
        else:
            partial_file.unlink()

    def remove(self, chat_id: int) -> None:
        """Remove the snapshot of a chat."""
        self._store.remove(chat_id)

    def _tokens_to_save(self, reply: ReplyGenerator) -> list[int]:
        """Return the evaluated part of the next prompt's beginning, or of a reply that was stopped."""
        if reply.stop_reason is StopReason.END_OF_TURN:
            tokens = next_prompt_prefix(self._model, reply.request, reply.message())
        else:
            tokens = reply.known_ids
        return tokens[: self._model.context.common_length(tokens)]
