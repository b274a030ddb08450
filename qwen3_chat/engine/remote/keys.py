"""Finds keys where users keep them: in the environment, the system's keyring, a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from qwen3_chat.engine.remote.access import Access, ApiKey
from qwen3_chat.errors import UsageError
from qwen3_chat.servers import Endpoint, KeySource, Secret, ServerProfile
from qwen3_chat.servers.endpoint import OWN_VARIABLE

FILE_VARIABLE = "QWEN3_CHAT_API_KEY_FILE"
KEYRING_SERVICE = "qwen3-chat"


def access_to(profile: ServerProfile, environ: Mapping[str, str]) -> Access:
    """Gather what opens the server of a profile; without a key of its own, the environment's for its address.

    Raises:
        UsageError: a secret is not where the profile says.
    """
    key = key_for(profile.endpoint, environ) if profile.key is None else key_at(profile.key, environ)
    return Access(
        key=key,
        headers={name: _found(value, environ) for name, value in profile.headers.items()},
        ca_file=profile.ca_file,
        client_certificate=profile.client_certificate,
        client_key=profile.client_key,
        verifies=profile.verifies,
        proxy=None if profile.proxy is None else _found(profile.proxy, environ),
        place=str(profile.key or (f"[servers.{profile.name}]" if profile.name else OWN_VARIABLE)),
    )


def key_for(endpoint: Endpoint, environ: Mapping[str, str]) -> ApiKey | None:
    """Choose the key from the environment; each goes only to the server that it is meant for.

    `QWEN3_CHAT_API_KEY`, or the file that `QWEN3_CHAT_API_KEY_FILE` names, is for the endpoint. The others
    belong to a service and would be given away if any server got them: `DASHSCOPE_API_KEY` to Alibaba Cloud,
    `OPENAI_API_KEY` to OpenAI or to the server in `OPENAI_BASE_URL`.

    Raises:
        UsageError: the variable holds something else than a key, or the file is open to others.
    """
    variables = [OWN_VARIABLE]
    if endpoint.is_under("aliyuncs.com"):
        variables.append("DASHSCOPE_API_KEY")
    base = environ.get("OPENAI_BASE_URL", "")
    if endpoint.is_under("api.openai.com") or (base and Endpoint.parse(base).host == endpoint.host):
        variables.append("OPENAI_API_KEY")
    name = next((name for name in variables if environ.get(name, "").strip()), None)
    if name != OWN_VARIABLE and (file := environ.get(FILE_VARIABLE)):
        return ApiKey(_read(file), FILE_VARIABLE)
    return ApiKey(environ[name], name) if name else None


def key_at(secret: Secret, environ: Mapping[str, str], *, spaced: bool = False) -> ApiKey:
    """Fetch a secret from where it is kept.

    Raises:
        UsageError: it is not there, can't be read, or is open to others.
    """
    return ApiKey(_value_at(secret, environ), str(secret), spaced=spaced)


def _value_at(secret: Secret, environ: Mapping[str, str]) -> str:
    match secret.source:
        case KeySource.ENV:
            if value := environ.get(secret.place, "").strip():
                return value
            raise UsageError("remote.no_variable", variable=secret.place)
        case KeySource.FILE:
            return _read(secret.place)
        case KeySource.KEYRING:
            return _from_keyring(secret.place)


def _found(value: str | Secret, environ: Mapping[str, str]) -> str | ApiKey:
    return key_at(value, environ, spaced=True) if isinstance(value, Secret) else value


def _from_keyring(name: str) -> str:
    import keyring  # here: it takes 0.2 s, and few keys are there
    from keyring.errors import KeyringError

    try:
        value = keyring.get_password(KEYRING_SERVICE, name)
    except KeyringError as error:
        reason = str(error).partition(". ")[0] or type(error).__name__
        raise UsageError("remote.keyring_unusable", reason=reason) from error
    if value is None:
        raise UsageError("remote.not_in_keyring", name=name, command=f"keyring set {KEYRING_SERVICE} {name}")
    return value


def _read(path: str) -> str:
    """Read a file that only its owner may read; Windows keeps such rights elsewhere."""
    try:
        file = Path(path).expanduser()
        if os.name == "posix" and file.stat().st_mode & 0o077:
            raise UsageError("remote.key_file_open", file=file)
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        reason = (
            error.strerror
            if isinstance(error, OSError)
            else "UTF-8"
            if isinstance(error, ValueError)
            else "~"
        )
        raise UsageError("remote.key_file_unreadable", file=path, reason=reason) from error
