"""The reference of a model: `NAME[:QUANT]` of the family, or `REPOSITORY[:FILE-OR-QUANT]`."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

from qwen3_chat.models.catalog.pasted_names import parse_pasted_name


class ModelReference(Struct, frozen=True):
    """A model as users and commands name it; `str()` gives the shortest text that names the same.

    `selector` is the quant, or the path of a file; None where the text has no colon. `revision` is a commit
    or branch of the repository, None for the newest.
    """

    name: str
    selector: str | None = None
    revision: str | None = None

    @classmethod
    def parse(cls, text: str, mirrors: Collection[str] = ()) -> ModelReference:
        """Read a name as people type or paste it; `mirrors` are the hosts of mirrors in use."""
        pasted = parse_pasted_name(text, mirrors)
        return cls(pasted.name, pasted.selector, pasted.revision)

    @property
    def is_repository(self) -> bool:
        """True if it names a repository, `owner/name`, instead of a model of the family."""
        return "/" in self.name

    def __str__(self) -> str:
        return self.name if self.selector is None else f"{self.name}:{self.selector}"
