"""The reference of a model: `NAME[:QUANT]` of the family, or `REPOSITORY[:FILE-OR-QUANT]`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model as users and commands name it; `str()` gives the text that was parsed.

    `selector` is the quant, or the path of a file; None where the text has no colon.
    """

    name: str
    selector: str | None = None

    @classmethod
    def parse(cls, text: str) -> ModelReference:
        """Split a text at its first colon."""
        name, colon, selector = text.partition(":")
        return cls(name, selector if colon else None)

    @property
    def is_repository(self) -> bool:
        """True if it names a repository, `owner/name`, instead of a model of the family."""
        return "/" in self.name

    def __str__(self) -> str:
        return self.name if self.selector is None else f"{self.name}:{self.selector}"
