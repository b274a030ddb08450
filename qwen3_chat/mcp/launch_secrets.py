"""The secrets in what starts a server: found by the names beside them, so that nothing shows them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

from qwen3_chat.servers import REDACTED, SecretReference

MIN_SECRET_CHARS: Final = 8
"""The shortest text that is taken out of results: of a shorter one, they would be full."""

_SECRET_NAME: Final = re.compile(r"auth|key|token|secret|cookie|passw", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"\$\{[^}]+\}")
_OPTION: Final = re.compile(r"--?(?P<name>[\w.-]+)")
_NAMED_VALUE: Final = re.compile(
    r"(?P<start>(?:--?)?(?P<name>[\w.-]{1,80})(?:=|\s*:\s*))(?P<value>\S.*)", re.DOTALL
)
_SCHEME: Final = re.compile(r"(?:Bearer|Basic|Token)\s+(?P<value>\S+)", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Return whether what has this name is a secret."""
    return _SECRET_NAME.search(name) is not None


def is_secret(name: str, value: str) -> bool:
    """Return whether a value should stand elsewhere: its name says so, and it names no place."""
    is_reference = SecretReference.parse(value) is not None or _VARIABLE.search(value) is not None
    return is_secret_name(name) and not is_reference


def with_bare_secrets(secrets: Sequence[str]) -> tuple[str, ...]:
    """Return secrets, the longest first: also without the scheme of a header, and as JSON."""
    bare = [match["value"] for secret in secrets if (match := _SCHEME.fullmatch(secret.strip()))]
    plain = (*secrets, *bare)
    escaped = [json.dumps(secret, ensure_ascii=False)[1:-1] for secret in plain]
    return tuple(sorted({secret for secret in (*plain, *escaped) if secret}, key=len, reverse=True))


def secrets_in_arguments(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the values of arguments such as `--api-key=…`, `--token …` and `Authorization: …`."""
    return tuple(argument[start:] for argument, start in _with_secret(arguments) if start < len(argument))


def arguments_without_secrets(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return arguments for lists and logs; those that only name a variable stay as they are."""
    return tuple(
        f"{argument[:start]}{REDACTED}"
        if start < len(argument) and not _VARIABLE.search(argument)
        else argument
        for argument, start in _with_secret(arguments)
    )


def _with_secret(arguments: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield each argument with the place where a secret begins in it: its end where there is none."""
    is_next = False
    for argument in arguments:
        option = _OPTION.fullmatch(argument)
        yield argument, 0 if is_next and not option else _secret_start(argument)
        is_next = option is not None and is_secret_name(option["name"])


def _secret_start(argument: str) -> int:
    """Return where the secret begins in an argument such as `--header=Authorization: …`."""
    start = 0
    while named := _NAMED_VALUE.match(argument, start):
        start = named.end("start")
        if is_secret_name(named["name"]) and not named["value"].startswith("//"):
            return start
    return len(argument)
