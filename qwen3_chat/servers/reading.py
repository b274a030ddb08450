"""The `[servers.NAME]` tables of the settings as profiles, mistakes as sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec

from qwen3_chat.errors import ConfigError, UsageError
from qwen3_chat.servers.endpoint import Endpoint
from qwen3_chat.servers.profile import Secret, ServerKind, ServerProfile

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.1
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_SENT_BY_US = frozenset({"content-length", "content-type", "host", "transfer-encoding", "user-agent"})
_SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie|password", re.IGNORECASE)


class Complain(Protocol):
    """Makes the error for an entry, told by its path, with file and line."""

    def __call__(self, key: str, path: tuple[str, ...], **values: object) -> ConfigError:
        """Make it."""
        ...


@dataclass(frozen=True, slots=True)
class Profiles:
    """The servers that can be used, and for each that can't, why."""

    usable: Mapping[str, ServerProfile] = field(default_factory=dict)
    problems: Mapping[str, ConfigError] = field(default_factory=dict)

    def get(self, name: str) -> ServerProfile | None:
        """Return the profile of a name; None where there is none.

        Raises:
            ConfigError: the settings describe it in a way that can't be used.
        """
        if name in self.problems:
            raise self.problems[name]
        return self.usable.get(name)


class _Table(msgspec.Struct, forbid_unknown_fields=True, rename={"n_ctx": "context"}):
    url: str
    model: str | None = None
    kind: ServerKind | None = None
    key: str | None = None
    n_ctx: Annotated[int, msgspec.Meta(ge=256)] | None = None
    headers: dict[str, str] = {}
    ca_file: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    verify: bool = True
    proxy: str | None = None
    fallback: str | None = None


ENTRIES = tuple(one.encode_name for one in msgspec.structs.fields(_Table))


def read_profiles(tables: Mapping[str, Mapping[str, Any]], complain: Complain) -> Profiles:
    """Read all tables; one that can't be used does not stand in the way of the others."""
    usable: dict[str, ServerProfile] = {}
    problems: dict[str, ConfigError] = {}
    for name, table in tables.items():
        try:
            usable[name] = _Reading(name, complain).profile(table)
        except ConfigError as error:
            problems[name] = error
    for name, profile in tuple(usable.items()):
        path = ("servers", name, "fallback")
        if profile.fallback is not None and profile.fallback not in tables:
            problems[name] = complain("servers.no_fallback", path, name=profile.fallback)
        elif name in _chain(profile, usable):
            problems[name] = complain("servers.fallback_circle", path, name=name)
    return Profiles({n: profile for n, profile in usable.items() if n not in problems}, problems)


def _chain(profile: ServerProfile, profiles: Mapping[str, ServerProfile]) -> list[str]:
    """Follow the fallbacks, up to the first that comes again."""
    names: list[str] = []
    following: ServerProfile | None = profile
    while following and following.fallback and following.fallback not in names:
        names.append(following.fallback)
        following = profiles.get(following.fallback)
    return names


class _Reading:
    """One table, entry by entry, so that each mistake has its line."""

    def __init__(self, name: str, complain: Complain) -> None:
        self._name = name
        self._complain = complain

    def profile(self, table: Mapping[str, Any]) -> ServerProfile:
        """Make the profile.

        Raises:
            ConfigError: an entry is missing, unknown or wrong.
        """
        for entry in table:
            if entry not in ENTRIES:
                raise self._error("servers.unknown_entry", entry, known=", ".join(ENTRIES))
        if "url" not in table:
            raise self._error("servers.no_url")
        for entry, value in table.items():
            try:
                msgspec.convert({"url": "", entry: value}, _Table)
            except msgspec.ValidationError as error:
                raise self._error("servers.wrong_entry", entry, reason=_reason(error)) from error
        read = msgspec.convert(table, _Table)
        if read.client_key and not read.client_certificate:
            raise self._error("servers.key_without_certificate", "client_key")
        return ServerProfile(
            name=self._name,
            endpoint=self._endpoint(read.url),
            model=read.model,
            kind=read.kind,
            key=None if read.key is None else self._key(read.key),
            n_ctx=read.n_ctx,
            headers={name: self._header(name, value) for name, value in read.headers.items()},
            ca_file=self._file("ca_file", read.ca_file),
            client_certificate=self._file("client_certificate", read.client_certificate),
            client_key=self._file("client_key", read.client_key),
            verifies=read.verify,
            proxy=None if read.proxy is None else self._proxy(read.proxy),
            fallback=read.fallback,
        )

    def _endpoint(self, url: str) -> Endpoint:
        try:
            return Endpoint.parse(url)
        except UsageError as error:
            key = "servers.secret_in_url" if error.key == "remote.secret_in_url" else "servers.bad_url"
            raise self._error(key, "url") from error

    def _key(self, text: str) -> Secret:
        """Read a reference; what is none may be the key itself and is not repeated."""
        if secret := Secret.parse(text):
            return secret
        raise self._error("servers.secret_itself", "key")

    def _header(self, name: str, value: str) -> str | Secret:
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _SENT_BY_US:
            raise self._error("servers.bad_header", "headers", name)
        if secret := Secret.parse(value):
            return secret
        if _SECRET_HEADER.search(name):
            raise self._error("servers.secret_itself", "headers", name)
        if not _HEADER_VALUE.fullmatch(value):
            raise self._error("servers.bad_header", "headers", name)
        return value

    def _proxy(self, text: str) -> str | Secret:
        if secret := Secret.parse(text):
            return secret
        if "@" in text:
            raise self._error("servers.secret_itself", "proxy")
        if not re.fullmatch(r"(?:https?|socks5h?)://[^\s/]+/?", text):
            raise self._error("servers.bad_proxy", "proxy")
        return text

    def _file(self, entry: str, text: str | None) -> Path | None:
        if text is None:
            return None
        try:
            return Path(text).expanduser()
        except RuntimeError as error:
            raise self._error("servers.bad_file", entry) from error

    def _error(self, key: str, *entry: str, **values: object) -> ConfigError:
        return self._complain(key, ("servers", self._name, *entry), **values)


def _reason(error: msgspec.ValidationError) -> str:
    return str(error).partition(" - at ")[0]
