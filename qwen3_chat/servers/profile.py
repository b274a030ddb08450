"""A server under a name of the user's, as the settings describe it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from qwen3_chat.errors import UsageError
from qwen3_chat.servers.endpoint import Endpoint

_SECRET = re.compile(r"(?P<source>env|keyring|file):(?P<place>.+)", re.DOTALL)


class ServerKind(StrEnum):
    """A program that serves models; the value is what `--server` takes."""

    VLLM = "vllm"
    SGLANG = "sglang"
    LLAMA_SERVER = "llama-server"
    LLAMA_CPP_PYTHON = "llama-cpp-python"
    OLLAMA = "ollama"
    LM_STUDIO = "lm-studio"
    DASHSCOPE = "dashscope"
    OPENAI = "openai"


def server_kind(name: str) -> ServerKind:
    """Read the name of a kind of server.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        return ServerKind(name.lower())
    except ValueError as error:
        raise UsageError("cli.unknown_choice", value=name, known=", ".join(ServerKind)) from error


class KeySource(StrEnum):
    """Where a secret is kept: a variable, the system's keyring, a file that only its owner reads."""

    ENV = "env"
    KEYRING = "keyring"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is, not the secret; written `env:NAME`, `keyring:NAME` or `file:PATH`."""

    source: KeySource
    place: str

    @classmethod
    def parse(cls, text: str) -> Secret | None:
        """Read such a reference; None where the text is something else, a secret itself perhaps."""
        found = _SECRET.fullmatch(text.strip())
        return cls(KeySource(found["source"]), found["place"].strip()) if found else None

    def __str__(self) -> str:
        return f"{self.source}:{self.place}"


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """A server with all that is needed to talk to it, secrets only by where they are.

    `verifies` says whether its certificate is checked; `fallback` is the profile that the user allows to
    answer in its place.
    """

    name: str
    endpoint: Endpoint
    model: str | None = None
    kind: ServerKind | None = None
    key: Secret | None = None
    n_ctx: int | None = None
    headers: Mapping[str, str | Secret] = field(default_factory=dict)
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    verifies: bool = True
    proxy: str | Secret | None = None
    fallback: str | None = None
