"""Edits anywhere in a chat's tree of messages: another question, another answer, deletion and its undoing."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from qwen3_chat.chat import Role, ThinkingMode
from qwen3_chat.events import EngineFailed
from qwen3_chat.session.chat_session import ChatSession
from qwen3_chat.session.message_versions import BranchVersions
from qwen3_chat.session.turn_events import ContextExceeded, ReplyStarted, Rewound, SessionEvent, UserStored
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import Deletion


class ChatTree:
    """Asks and answers anew at any message of a session's branch, deletes, brings back.

    Nothing is lost: what is replaced stays stored as a version, what is deleted until it is purged.
    """

    def __init__(self, session: ChatSession, store: ChatStore) -> None:
        self._session = session
        self._store = store

    async def versions(self) -> BranchVersions:
        """Find the versions of all messages of the branch."""
        if self._session.chat is None:
            return BranchVersions()
        return BranchVersions(self._session.messages, await self._store.forks(self._session.chat.id))

    async def edit_question(self, message_id: int, text: str) -> AsyncGenerator[SessionEvent, None]:
        """Ask something else in place of a question; what followed it stays stored beside."""
        session = self._session
        before = session.messages
        session.messages = before[: self._branch_index(message_id)]
        is_stored = False
        try:
            yield Rewound(session.messages)
            async with aclosing(session.send(text)) as events:
                async for event in events:
                    is_stored = is_stored or isinstance(event, UserStored)
                    yield event
        finally:
            if not is_stored:
                session.messages = before

    async def regenerate_at(
        self, message_id: int, mode: ThinkingMode | None = None
    ) -> AsyncGenerator[SessionEvent, None]:
        """Answer a question, or the one that a reply answered, again; in another mode where one is given.

        The mode is this answer's alone. Where no answer could be begun, the branch stays as it was.
        """
        session = self._session
        async with aclosing(session.prepare()) as loading:
            async for loaded in loading:
                yield loaded
                if isinstance(loaded, EngineFailed):
                    return
        before = session.messages
        asked = [m.message.role is Role.USER for m in before[: self._branch_index(message_id) + 1]]
        if not any(asked):
            return
        session.messages = before[: len(asked) - asked[::-1].index(True)]
        has_begun = waits = False
        try:
            async with aclosing(session.regenerate(mode=mode)) as events:
                async for event in events:
                    has_begun = has_begun or isinstance(event, ReplyStarted)
                    waits = waits or isinstance(event, ContextExceeded)
                    yield event
        finally:
            if not has_begun and not waits:
                session.messages = before
        if has_begun:
            return
        assert session.chat is not None
        await self._store.set_head(session.chat.id, session.messages[-1].id)
        if not waits:
            yield Rewound(before)

    async def delete(self, message_id: int) -> Deletion:
        """Delete a message with all that follows it; another version takes its place where there is one."""
        session = self._session
        assert session.chat is not None
        versions = await self.versions()
        neighbour = versions.for_message(message_id).fallback_id
        place = self._branch_index(message_id)
        head = session.messages[place - 1].id if place else None
        if neighbour is not None:
            head = await self._store.newest_leaf(session.chat.id, neighbour)
        deletion = await self._store.delete_messages(
            session.chat.id, versions.equivalent_ids(message_id), head
        )
        await self._reread()
        return deletion

    async def restore(self, deletion: Deletion) -> None:
        """Bring back what was deleted, as it was shown then."""
        await self._store.restore_messages(deletion)
        await self._reread()

    async def _reread(self) -> None:
        if (chat := self._session.chat) is not None:
            self._session.messages = await self._store.branch(chat.id)

    def _branch_index(self, message_id: int) -> int:
        """Return the place of a message in the branch, the end of it for one that is not there."""
        ids = [stored.id for stored in self._session.messages]
        return ids.index(message_id) if message_id in ids else len(ids)
