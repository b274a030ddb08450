"""The versions of each message of a branch: other answers to a question, other questions in its position.

It is computed from stored messages alone, without access to the store.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from qwen3_chat.chat import Role
from qwen3_chat.store.records import Sibling, StoredMessage


class MessageVersions(Struct, frozen=True):
    """The versions of a message, oldest first, with the index of the version that is shown."""

    ids: tuple[int, ...] = ()
    shown_index: int = 0

    @property
    def count(self) -> int:
        """The number of versions; with fewer than two there is no choice."""
        return len(self.ids)

    def id_at_step(self, step: int) -> int | None:
        """Return the id of the version `step` versions after the one shown; None beyond the ends."""
        index = self.shown_index + step
        return self.ids[index] if 0 <= index < len(self.ids) else None

    @property
    def fallback_id(self) -> int | None:
        """The version to show if the current one is deleted: the earlier one, else the later one."""
        earlier = self.id_at_step(-1)
        return self.id_at_step(1) if earlier is None else earlier


NO_VERSIONS = MessageVersions()


class BranchVersions:
    """The versions of the messages of a branch; `forks` is what `ChatStore.forks` returns for its chat.

    A question that was asked in two modes is stored twice, with different tags. To the reader it is one
    question: these duplicates count as one version, and the answers to all of them as versions of one
    answer.
    """

    def __init__(self, branch: Sequence[StoredMessage] = (), forks: Sequence[Sibling] = ()) -> None:
        self._branch = tuple(branch)
        self._children: dict[int | None, list[Sibling]] = {}
        for sibling in forks:
            self._children.setdefault(sibling.parent_id, []).append(sibling)
        all_versions = {stored.id: self._versions_at(index) for index, stored in enumerate(self._branch)}
        self._versions = {
            message_id: versions for message_id, versions in all_versions.items() if versions.count > 1
        }

    def for_message(self, message_id: int) -> MessageVersions:
        """Return the versions of a message of the branch; `NO_VERSIONS` if there is only one."""
        return self._versions.get(message_id, NO_VERSIONS)

    @property
    def for_latest(self) -> MessageVersions:
        """The versions of the latest reply, or of the latest question where the reply is the only one."""
        for role in (Role.ASSISTANT, Role.USER):
            latest_id = next((s.id for s in reversed(self._branch) if s.message.role is role), 0)
            if self.for_message(latest_id).count:
                return self.for_message(latest_id)
        return NO_VERSIONS

    def latest_at_step(self, step: int) -> int | None:
        """Return the version of the latest reply at a step; beyond its ends, that of the latest question.

        So a step back and a step forward lead to where one was: the replies to all versions of a question
        stand in one row.
        """
        for role in (Role.ASSISTANT, Role.USER):
            latest_id = next((s.id for s in reversed(self._branch) if s.message.role is role), 0)
            if (other := self.for_message(latest_id).id_at_step(step)) is not None:
                return other
        return None

    def equivalent_ids(self, message_id: int) -> tuple[int, ...]:
        """Return the ids of a question and its duplicates in other modes; of another message, its own id."""
        index = next(index for index, stored in enumerate(self._branch) if stored.id == message_id)
        return self._equivalent_ids_at(index)

    def _versions_at(self, index: int) -> MessageVersions:
        stored = self._branch[index]
        if stored.message.role is Role.USER:
            own_ids = set(self._equivalent_ids_at(index))
            questions = (s for s in self._children_of(stored.parent_id) if s.role is Role.USER)
            newest_ids = {question.content: question.id for question in questions}.values()
            ids = tuple(stored.id if message_id in own_ids else message_id for message_id in newest_ids)
        else:
            question_ids = self._equivalent_ids_at(index - 1) if index else (None,)
            answers = (answer for parent_id in question_ids for answer in self._children_of(parent_id))
            ids = tuple(sorted(answer.id for answer in answers))
        return MessageVersions(ids, ids.index(stored.id)) if stored.id in ids else NO_VERSIONS

    def _equivalent_ids_at(self, index: int) -> tuple[int, ...]:
        stored = self._branch[index]
        if stored.message.role is not Role.USER:
            return (stored.id,)
        content = stored.message.content
        duplicates = (s.id for s in self._children_of(stored.parent_id) if s.content == content)
        return tuple(sorted({stored.id, *duplicates}))

    def _children_of(self, parent_id: int | None) -> list[Sibling]:
        return self._children.get(parent_id, [])
