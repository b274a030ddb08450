"""The versions of each message of a branch: other answers to one question, other questions at one place.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qwen3_chat.chat import Role
from qwen3_chat.store.records import Sibling, StoredMessage


@dataclass(frozen=True, slots=True)
class MessageVersions:
    """The versions of a message, oldest first, with the place of the one that is shown."""

    ids: tuple[int, ...] = ()
    shown_index: int = 0

    @property
    def count(self) -> int:
        """How many there are; fewer than two are no choice."""
        return len(self.ids)

    def id_at_step(self, step: int) -> int | None:
        """Return the id some steps away; None beyond the ends."""
        place = self.shown_index + step
        return self.ids[place] if 0 <= place < len(self.ids) else None

    @property
    def fallback_id(self) -> int | None:
        """The version to fall back on without the one that is shown: the earlier one, else the later one."""
        earlier = self.id_at_step(-1)
        return self.id_at_step(1) if earlier is None else earlier


NO_VERSIONS = MessageVersions()


class BranchVersions:
    """The versions of every message of a branch that has some.

    A question that was asked in two modes is stored twice, with another tag. To the reader it is one
    question: these twins count as one version, and the answers to all of them as versions of one answer.
    """

    def __init__(self, branch: Sequence[StoredMessage] = (), forks: Sequence[Sibling] = ()) -> None:
        self._branch = tuple(branch)
        below: dict[int | None, list[Sibling]] = {}
        for sibling in forks:
            below.setdefault(sibling.parent_id, []).append(sibling)
        self._children = below
        found = {stored.id: self._versions_at(place) for place, stored in enumerate(self._branch)}
        self._versions = {number: variants for number, variants in found.items() if variants.count > 1}

    def for_message(self, message_id: int) -> MessageVersions:
        """Return the versions of a message of the branch; none where there is only one."""
        return self._versions.get(message_id, NO_VERSIONS)

    @property
    def for_latest(self) -> MessageVersions:
        """The versions of the latest reply, or of the latest question where the reply is the only one."""
        for role in (Role.ASSISTANT, Role.USER):
            latest = next((stored.id for stored in reversed(self._branch) if stored.message.role is role), 0)
            if self.for_message(latest).count:
                return self.for_message(latest)
        return NO_VERSIONS

    def equivalent_ids(self, message_id: int) -> tuple[int, ...]:
        """Return a question with those that are the same to the reader; any other message alone."""
        place = next(place for place, stored in enumerate(self._branch) if stored.id == message_id)
        return self._equivalent_ids_at(place)

    def _versions_at(self, index: int) -> MessageVersions:
        stored = self._branch[index]
        if stored.message.role is Role.USER:
            own = set(self._equivalent_ids_at(index))
            newest = {s.content: s.id for s in self._children_of(stored.parent_id) if s.role is Role.USER}
            ids = tuple(stored.id if number in own else number for number in newest.values())
        else:
            questions = self._equivalent_ids_at(index - 1) if index else (None,)
            ids = tuple(sorted(answer.id for question in questions for answer in self._children_of(question)))
        return MessageVersions(ids, ids.index(stored.id)) if stored.id in ids else NO_VERSIONS

    def _equivalent_ids_at(self, index: int) -> tuple[int, ...]:
        stored = self._branch[index]
        if stored.message.role is not Role.USER:
            return (stored.id,)
        same = (s.id for s in self._children_of(stored.parent_id) if s.content == stored.message.content)
        return tuple(sorted({stored.id, *same}))

    def _children_of(self, parent_id: int | None) -> list[Sibling]:
        return self._children.get(parent_id, [])
