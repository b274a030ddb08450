"""Edits anywhere in a chat's tree of messages: another question, another answer, deletion and its undoing."""

from __future__ import annotations

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.session.chat_session import ChatSession
from qwen3_chat.session.message_versions import BranchVersions
from qwen3_chat.session.turn_events import (
    ContextExceeded,
    ReplyStarted,
    Rewound,
    SessionEvent,
    SessionEventSink,
    UserStored,
)
from qwen3_chat.session.uninterrupted import finish_even_if_cancelled
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import Deletion


class ChatTree:
    """The editor of a session's tree: edits and answers any message of the branch again, deletes, restores.

    Nothing is lost: a replaced message stays stored as a version, a deleted one until it is purged.
    """

    def __init__(self, session: ChatSession, store: ChatStore) -> None:
        self._session = session
        self._store = store

    async def versions(self) -> BranchVersions:
        """Return the versions of all messages of the branch."""
        if self._session.chat is None:
            return BranchVersions()
        return BranchVersions(self._session.messages, await self._store.forks(self._session.chat.id))

    async def edit_question(self, message_id: int, text: str, on_event: SessionEventSink) -> None:
        """Ask another question in place of an earlier one, which stays stored with all that followed it."""
        session = self._session
        before = session.messages
        session.show_branch(before[: self._branch_index(message_id)])
        is_stored = False

        def on_turn_event(event: SessionEvent) -> None:
            nonlocal is_stored
            is_stored = is_stored or isinstance(event, UserStored)
            on_event(event)

        try:
            on_event(Rewound(session.messages))
            await session.send(text, on_turn_event)
        finally:
            if not is_stored:
                session.show_branch(before)

    async def regenerate_at(
        self, message_id: int, on_event: SessionEventSink, mode: ThinkingMode | None = None
    ) -> None:
        """Answer a question, or the question of a reply, again; in `mode` where it is given.

        The mode applies to this answer only. Where no answer could be started, the branch stays as it was.
        """
        session = self._session
        before = session.messages
        is_rewound = has_started = waits_for_user = False

        def on_turn_event(event: SessionEvent) -> None:
            nonlocal is_rewound, has_started, waits_for_user
            is_rewound = is_rewound or isinstance(event, Rewound)
            has_started = has_started or isinstance(event, ReplyStarted)
            waits_for_user = waits_for_user or isinstance(event, ContextExceeded)
            on_event(event)

        async def restore() -> None:
            if not waits_for_user:
                session.show_branch(before)
            assert session.chat is not None
            await self._store.set_head(session.chat.id, session.messages[-1].id)
            if not waits_for_user:
                on_event(Rewound(before))

        try:
            await session.regenerate(on_turn_event, message_id, mode=mode)
        finally:
            if is_rewound and not has_started:
                await finish_even_if_cancelled(restore())

    async def delete(self, message_id: int) -> Deletion:
        """Delete a message with all that follows it; show another version of it where there is one."""
        session = self._session
        assert session.chat is not None
        versions = await self.versions()
        fallback_id = versions.for_message(message_id).fallback_id
        index = self._branch_index(message_id)
        head_id = session.messages[index - 1].id if index else None
        if fallback_id is not None:
            head_id = await self._store.newest_leaf(session.chat.id, fallback_id)
        deletion = await self._store.delete_messages(
            session.chat.id, versions.equivalent_ids(message_id), head_id
        )
        await self._reread()
        return deletion

    async def restore(self, deletion: Deletion) -> None:
        """Restore deleted messages and the branch that was shown before the deletion."""
        await self._store.restore_messages(deletion)
        await self._reread()

    async def _reread(self) -> None:
        if (chat := self._session.chat) is not None:
            self._session.show_branch(await self._store.branch(chat.id))

    def _branch_index(self, message_id: int) -> int:
        """Return the index of a message in the branch; the length of the branch for any other message."""
        ids = [stored.id for stored in self._session.messages]
        return ids.index(message_id) if message_id in ids else len(ids)
