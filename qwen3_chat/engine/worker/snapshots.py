"""Evaluated chats on disk, from where a chat goes on after another one or in another process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from qwen3_chat.chat import StopReason
from qwen3_chat.engine.snapshot_cabinet import SnapshotCabinet
from qwen3_chat.engine.worker.ahead import next_beginning
from qwen3_chat.engine.worker.context import common_length
from qwen3_chat.engine.worker.model import Model
from qwen3_chat.engine.worker.origin import origin_of
from qwen3_chat.engine.worker.reply import Reply
from qwen3_chat.events import EngineEvent, PrefillProgressed
from qwen3_chat.request import Keeping

_WORTH_LOADING = 8
"""Loading is about so many times quicker than evaluating, its checks included."""
_FEW_TOKENS = 32


class Snapshots:
    """Keeps chats that took long to evaluate; what has no good snapshot is evaluated again."""

    def __init__(self, model: Model, keeping: Keeping) -> None:
        self._model = model
        self._worth_s = keeping.worth_s
        self._cabinet = SnapshotCabinet.of(keeping)
        self._cabinet.sweep()
        self._origin = origin_of(Path(model.description.path), model.context.layout)
        self._token_s = 0.0

    def timed(self, events: Iterable[EngineEvent]) -> Iterator[EngineEvent]:
        """Pass on the events of a reply; learn from them how long evaluating takes, of few tokens little."""
        begun_s, evaluated = time.perf_counter(), 0
        for event in events:
            if isinstance(event, PrefillProgressed):
                if not (evaluated := event.done - event.reused):
                    begun_s = time.perf_counter()
                elif evaluated >= _FEW_TOKENS or not self._token_s:
                    self._token_s = (time.perf_counter() - begun_s) / evaluated
            yield event

    def fetch(self, chat_id: int, prompt: Sequence[int]) -> None:
        """Load the snapshot of a chat where much of the prompt is in it that is not in the KV cache.

        Raises:
            OSError: the cabinet can't be written to.
        """
        context = self._model.context
        snapshot = self._cabinet.find(chat_id, self._origin)
        if snapshot is None:
            return
        tokens = snapshot.label.tokens
        gain = common_length(tokens, prompt) - context.common_length(prompt)
        if gain * _WORTH_LOADING < len(tokens) or len(tokens) > context.n_ctx:
            return
        if not snapshot.is_intact():
            self._cabinet.remove(chat_id)
            return
        self._cabinet.mark_loading(chat_id)
        is_loaded = context.load(snapshot.path, len(tokens)) and context.left == tokens
        self._cabinet.mark_loaded(chat_id)
        if not is_loaded:
            self._cabinet.remove(chat_id)

    def keep(self, reply: Reply, begins: Callable[[], None]) -> None:
        """Save what is evaluated of a chat after its latest reply, where it is worth it; tell that it begins.

        What is on disk needs no place in the KV cache when another chat begins.

        Raises:
            EngineError: the chat can't be rendered.
            OSError: the disk is full, or worse.
        """
        chat_id = reply.request.chat_id
        if chat_id is None:
            return
        tokens = self._worth_keeping(reply)
        there = self._cabinet.find(chat_id, self._origin)
        n_there = common_length(there.label.tokens, tokens) if there else 0
        if (len(tokens) - n_there) * self._token_s <= self._worth_s:
            self._model.context.may_go = n_there > len(tokens) // 2
            return
        if not self._cabinet.has_room_for(self._model.context.saved_bytes):
            return
        begins()
        draft = self._cabinet.draft(chat_id)
        if self._model.context.save(draft, tokens):
            self._cabinet.file(chat_id, draft, self._origin, tokens)
            self._model.context.may_go = True
        else:
            draft.unlink()

    def forget(self, chat_id: int) -> None:
        """Drop the snapshot of a chat."""
        self._cabinet.remove(chat_id)

    def _worth_keeping(self, reply: Reply) -> list[int]:
        """Return what the chat goes on from: the next prompt's beginning, or a reply that was stopped."""
        if reply.stop_reason is StopReason.END_OF_TURN:
            upcoming = next_beginning(self._model, reply.request, reply.message())
        else:
            upcoming = reply.known_ids
        return upcoming[: self._model.context.common_length(upcoming)]
