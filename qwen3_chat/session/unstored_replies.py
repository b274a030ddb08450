"""Replies whose end could not be stored: kept in memory, stored as soon as the store takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qwen3_chat.errors import StoreError
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import StoredMessage


class UnstoredReplies:
    """The replies that the store refused, of whatever chat, by the ids of their messages.

    They are tried again before the next turn, every few seconds and when the user leaves. Until then they
    take the place of what the store has of them wherever a branch is read.
    """

    def __init__(self, store: ChatStore) -> None:
        self.error: StoreError | None = None
        """The reason why the latest attempt failed; None while there is nothing to store."""
        self.on_stored: Callable[[StoredMessage], None] = lambda stored: None
        """A callback for each reply that is stored after all."""
        self._store = store
        self._replies: dict[int, StoredMessage] = {}
        self._lock = asyncio.Lock()

    def __bool__(self) -> bool:
        return bool(self._replies)

    @property
    def replies(self) -> tuple[StoredMessage, ...]:
        """The replies, in the order in which they ended."""
        return tuple(self._replies.values())

    @property
    def ids(self) -> frozenset[int]:
        """The ids of the replies."""
        return frozenset(self._replies)

    def keep(self, reply: StoredMessage, error: StoreError) -> None:
        """Keep a reply that could not be stored, instead of an earlier end of it."""
        self._replies[reply.id] = reply
        self.error = error

    def forget(self, message_id: int) -> None:
        """Forget a reply that is stored by now."""
        self._replies.pop(message_id, None)
        if not self._replies:
            self.error = None

    def laid_over(self, messages: tuple[StoredMessage, ...]) -> tuple[StoredMessage, ...]:
        """Return messages of the store with these replies in the place of what is stored of them."""
        return tuple(self._replies.get(stored.id, stored) for stored in messages)

    async def store(self) -> tuple[StoredMessage, ...]:
        """Try to store all replies; return those that are stored now, as the store has them."""
        done = []
        async with self._lock:
            for reply in self.replies:
                try:
                    stored = await self._store.finish_message(
                        reply.id, reply.message, reply.meta, reply.token_ids
                    )
                except StoreError as error:
                    self.error = error
                    continue
                if self._replies.get(reply.id) is reply:
                    self.forget(reply.id)
                    done.append(stored)
                    self.on_stored(stored)
        return tuple(done)
