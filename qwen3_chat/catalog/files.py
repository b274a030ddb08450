"""A file of a model that can be downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Publisher(StrEnum):
    """Who makes the GGUF files; the value is the account on Hugging Face."""

    QWEN = "Qwen"
    UNSLOTH = "unsloth"
    BARTOWSKI = "bartowski"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A GGUF file of a repository; `revision` is a commit on Hugging Face, None where none is pinned.

    `size_bytes` is as published, or predicted where `size_is_exact` is False. An unknown `sha256` is None.
    """

    repo: str
    revision: str | None
    filename: str
    quant: str
    size_bytes: int
    sha256: str | None = None
    size_is_exact: bool = True

    @property
    def publisher(self) -> Publisher:
        """Who made it."""
        return Publisher(self.repo.partition("/")[0])

    @property
    def is_on_modelscope(self) -> bool:
        """Whether ModelScope has the same file under the same name."""
        return self.publisher is not Publisher.BARTOWSKI


@dataclass(frozen=True, slots=True)
class Repository:
    """Files of one model; `name_pattern` holds `{quant}`; `listed` has quant, bytes and SHA-256.

    `derived` names the quants whose size is not published but within 32 bytes of what stands here.
    """

    repo: str
    revision: str | None
    name_pattern: str
    listed: tuple[tuple[str, int, str | None], ...]
    derived: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """Its files in the order of the listing."""
        return tuple(
            ModelFile(
                self.repo,
                self.revision,
                self.name_pattern.format(quant=quant),
                quant,
                size_bytes,
                sha256,
                quant not in self.derived,
            )
            for quant, size_bytes, sha256 in self.listed
        )
