"""The versions of a message: other answers to one question, other questions at one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qwen3_chat.chat import Role
from qwen3_chat.store import Store
from qwen3_chat.store.records import StoredMessage


@dataclass(frozen=True, slots=True)
class Variants:
    """The siblings of a message, oldest first, with the place of the one that is shown."""

    ids: tuple[int, ...] = ()
    shown: int = 0

    @property
    def count(self) -> int:
        """How many there are; fewer than two are no choice."""
        return len(self.ids)

    def beside(self, step: int) -> int | None:
        """Return the id some steps away; None beyond the ends."""
        place = self.shown + step
        return self.ids[place] if 0 <= place < len(self.ids) else None


async def variants_at_end(store: Store, branch: Sequence[StoredMessage]) -> Variants:
    """Find the versions of the latest reply, or of the latest question where the reply is the only one."""
    for role in (Role.ASSISTANT, Role.USER):
        latest = next((stored for stored in reversed(branch) if stored.message.role is role), None)
        if latest is None:
            continue
        ids = tuple(stored.id for stored in await store.siblings(latest.id))
        if len(ids) > 1:
            return Variants(ids, ids.index(latest.id))
    return Variants()


async def newest_end(store: Store, chat_id: int, message_id: int) -> int:
    """Follow the newest answers below a message to the end of their branch."""
    while below := await store.children(chat_id, message_id):
        message_id = below[-1].id
    return message_id
