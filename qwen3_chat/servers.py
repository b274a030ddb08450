"""The servers that a user names: addresses, the profiles of the settings, references to secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Protocol
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Struct, field

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ConfigError, UsageError
from qwen3_chat.request import MAX_USER_N_CTX, MIN_USER_N_CTX

API_KEY_VARIABLE = "QWEN3_CHAT_API_KEY"
REDACTED = "•••"
_KNOWN_PATHS = ("/chat/completions", "/api/chat", "/api", "/models")
_BARE_NAME = re.compile(r"[^\s.:/\\]+")
_VERSION = re.compile(r"/v\d+$")
_SECRET_REFERENCE = re.compile(r"(?P<source>env|keyring|file):(?P<location>.+)", re.DOTALL)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.1
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_RESERVED_HEADERS = frozenset({"content-length", "content-type", "host", "transfer-encoding", "user-agent"})
_SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie|password", re.IGNORECASE)


class Endpoint(Struct, frozen=True):
    """The address of a server: its own paths begin at `root`, those of the OpenAI protocol at `api`."""

    root: str
    api: str
    host: str
    is_loopback: bool
    is_encrypted: bool

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Parse an address as people write it: `localhost:8000`, `http://host/v1`, a whole request URL.

        Raises:
            UsageError: the text is no address, or it contains a password.
        """
        parts = _split(text)
        if parts.username is not None or parts.password is not None or parts.query:
            raise UsageError(ErrorCode.ENDPOINT_WITH_SECRET, variable=API_KEY_VARIABLE)
        path = parts.path.rstrip("/")
        for known_path in _KNOWN_PATHS:
            path = path.removesuffix(known_path)
        origin = f"{parts.scheme}://{parts.netloc}"
        root = origin + _VERSION.sub("", path)
        return cls(
            root=root,
            api=origin + path if _VERSION.search(path) else f"{root}/v1",
            host=parts.netloc,
            is_loopback=is_loopback(parts.hostname or ""),
            is_encrypted=parts.scheme == "https",
        )

    @staticmethod
    def is_bare_name(text: str) -> bool:
        """Return whether a text is one word, such as the name of a profile, without a port, dot or scheme."""
        name = text.strip()
        return _BARE_NAME.fullmatch(name) is not None and not is_loopback(name)

    def is_under(self, domain: str) -> bool:
        """Return whether the server belongs to a domain."""
        name = urlsplit(self.root).hostname or ""
        return name == domain or name.endswith(f".{domain}")


def _split(text: str) -> SplitResult:
    text = text.strip()
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        is_port_valid = parts.port is None or parts.port > 0
    except ValueError as error:
        raise UsageError(ErrorCode.ENDPOINT_INVALID, url=text) from error
    is_usable = parts.scheme in ("http", "https") and parts.hostname and is_port_valid and not parts.fragment
    if not is_usable or re.search(r"[\s\x00-\x1f\x7f\\]", text):
        raise UsageError(ErrorCode.ENDPOINT_INVALID, url=text)
    return parts


def is_loopback(name: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


class ServerKind(StrEnum):
    """A program that serves models; the value is the argument of `--server`."""

    VLLM = "vllm"
    SGLANG = "sglang"
    LLAMA_SERVER = "llama-server"
    LLAMA_CPP_PYTHON = "llama-cpp-python"
    OLLAMA = "ollama"
    LM_STUDIO = "lm-studio"
    MLX_LM = "mlx-lm"
    TRANSFORMERS = "transformers"
    DASHSCOPE = "dashscope"
    OPENAI = "openai"


def parse_server_kind(name: str) -> ServerKind:
    """Parse the name of a kind of server.

    Raises:
        UsageError: there is no such kind.
    """
    try:
        return ServerKind(name.lower())
    except ValueError as error:
        raise UsageError(ErrorCode.CHOICE_UNKNOWN, value=name, known=", ".join(ServerKind)) from error


class SecretSource(StrEnum):
    """The store of a secret: a variable, the system's keyring, a file that only its owner can read."""

    ENV = "env"
    KEYRING = "keyring"
    FILE = "file"


class SecretReference(Struct, frozen=True):
    """The location of a secret, not the secret itself: `env:NAME`, `keyring:NAME` or `file:PATH`."""

    source: SecretSource
    location: str

    @classmethod
    def parse(cls, text: str) -> SecretReference | None:
        """Parse a reference; return None if the text is something else, perhaps the secret itself."""
        match = _SECRET_REFERENCE.fullmatch(text.strip())
        return cls(SecretSource(match["source"]), match["location"].strip()) if match else None

    def __str__(self) -> str:
        return f"{self.source}:{self.location}"


class ServerProfile(Struct, frozen=True):
    """A server with everything needed to connect to it; secrets are given by their location.

    `verifies_certificate` is true if its certificate is checked. `fallback` is the name of the profile that
    the user allows to answer in its place.
    """

    name: str
    endpoint: Endpoint
    model: str | None = None
    kind: ServerKind | None = None
    key: SecretReference | None = None
    n_ctx: int | None = None
    headers: Mapping[str, str | SecretReference] = field(default_factory=dict)
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    verifies_certificate: bool = True
    proxy: str | SecretReference | None = None
    fallback: str | None = None


class ConfigErrorFactory(Protocol):
    """A factory of errors about an entry of the settings, with its file and line."""

    def __call__(self, code: ErrorCode, path: tuple[str, ...], **values: object) -> ConfigError:
        """Create the error for the entry at `path`."""
        ...


class ServerProfiles(Struct, frozen=True):
    """The profiles that can be used, and for each other one the reason why it can't."""

    usable: Mapping[str, ServerProfile] = field(default_factory=dict)
    problems: Mapping[str, ConfigError] = field(default_factory=dict)

    def get(self, name: str) -> ServerProfile | None:
        """Return the profile of that name, or None if there is none.

        Raises:
            ConfigError: the settings describe the server in a way that can't be used.
        """
        if name in self.problems:
            raise self.problems[name]
        return self.usable.get(name)


class _Table(msgspec.Struct, forbid_unknown_fields=True, rename={"n_ctx": "context"}):
    url: str
    model: str | None = None
    kind: ServerKind | None = None
    key: str | None = None
    n_ctx: Annotated[int, msgspec.Meta(ge=MIN_USER_N_CTX, le=MAX_USER_N_CTX)] | None = None
    headers: dict[str, str] = {}
    ca_file: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    verify: bool = True
    proxy: str | None = None
    fallback: str | None = None


PROFILE_ENTRIES = tuple(entry.encode_name for entry in msgspec.structs.fields(_Table))


def read_profiles(tables: Mapping[str, Mapping[str, Any]], make_error: ConfigErrorFactory) -> ServerProfiles:
    """Read the tables of all servers; one that can't be used leaves the others usable."""
    usable: dict[str, ServerProfile] = {}
    problems: dict[str, ConfigError] = {}
    for name, table in tables.items():
        try:
            usable[name] = _ProfileParser(name, make_error).parse(table)
        except ConfigError as error:
            problems[name] = error
    circular = _circular_fallbacks(usable)
    for name, profile in tuple(usable.items()):
        path = ("servers", name, "fallback")
        if profile.fallback is not None and profile.fallback not in tables:
            problems[name] = make_error(ErrorCode.SERVER_FALLBACK_UNKNOWN, path, name=profile.fallback)
        elif name in circular:
            problems[name] = make_error(ErrorCode.SERVER_FALLBACK_CIRCULAR, path, name=name)
    return ServerProfiles({n: profile for n, profile in usable.items() if n not in problems}, problems)


def _circular_fallbacks(profiles: Mapping[str, ServerProfile]) -> set[str]:
    """Return the names of the profiles whose fallbacks lead back to them; each is looked at once."""
    circular: set[str] = set()
    seen: set[str] = set()
    for start in profiles:
        chain: dict[str, None] = {}
        name: str | None = start
        while name is not None and name in profiles and name not in seen and name not in chain:
            chain[name] = None
            name = profiles[name].fallback
        if name is not None and name in chain:
            names = list(chain)
            circular.update(names[names.index(name) :])
        seen.update(chain)
    return circular


class _ProfileParser:
    """The parser of one table, entry by entry, so that each mistake is reported with its line."""

    def __init__(self, name: str, make_error: ConfigErrorFactory) -> None:
        self._name = name
        self._make_error = make_error

    def parse(self, table: Mapping[str, Any]) -> ServerProfile:
        """Return the profile that the table describes.

        Raises:
            ConfigError: an entry is missing, unknown or wrong.
        """
        for entry in table:
            if entry not in PROFILE_ENTRIES:
                raise self._error(ErrorCode.SERVER_ENTRY_UNKNOWN, entry, known=", ".join(PROFILE_ENTRIES))
        if "url" not in table:
            raise self._error(ErrorCode.SERVER_URL_MISSING)
        for entry, value in table.items():
            try:
                msgspec.convert({"url": "", entry: value}, _Table)
            except msgspec.ValidationError as error:
                raise self._error(ErrorCode.SERVER_ENTRY_INVALID, entry, reason=_reason(error)) from error
        entries = msgspec.convert(table, _Table)
        if entries.client_key and not entries.client_certificate:
            raise self._error(ErrorCode.SERVER_CERTIFICATE_MISSING, "client_key")
        return ServerProfile(
            name=self._name,
            endpoint=self._endpoint(entries.url),
            model=entries.model,
            kind=entries.kind,
            key=None if entries.key is None else self._key(entries.key),
            n_ctx=entries.n_ctx,
            headers={name: self._header(name, value) for name, value in entries.headers.items()},
            ca_file=self._file("ca_file", entries.ca_file),
            client_certificate=self._file("client_certificate", entries.client_certificate),
            client_key=self._file("client_key", entries.client_key),
            verifies_certificate=entries.verify,
            proxy=None if entries.proxy is None else self._proxy(entries.proxy),
            fallback=entries.fallback,
        )

    def _endpoint(self, url: str) -> Endpoint:
        try:
            return Endpoint.parse(url)
        except UsageError as error:
            has_secret = error.code is ErrorCode.ENDPOINT_WITH_SECRET
            code = ErrorCode.SERVER_URL_WITH_SECRET if has_secret else ErrorCode.SERVER_URL_INVALID
            raise self._error(code, "url") from error

    def _key(self, text: str) -> SecretReference:
        """Parse a reference; any other text may be the key itself, so the error does not repeat it."""
        if secret := SecretReference.parse(text):
            return secret
        raise self._error(ErrorCode.SERVER_SECRET_IN_SETTINGS, "key")

    def _header(self, name: str, value: str) -> str | SecretReference:
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED_HEADERS:
            raise self._error(ErrorCode.SERVER_HEADER_INVALID, "headers", name)
        if secret := SecretReference.parse(value):
            return secret
        if _SECRET_HEADER.search(name):
            raise self._error(ErrorCode.SERVER_SECRET_IN_SETTINGS, "headers", name)
        if not _HEADER_VALUE.fullmatch(value):
            raise self._error(ErrorCode.SERVER_HEADER_INVALID, "headers", name)
        return value

    def _proxy(self, text: str) -> str | SecretReference:
        if secret := SecretReference.parse(text):
            return secret
        if "@" in text:
            raise self._error(ErrorCode.SERVER_SECRET_IN_SETTINGS, "proxy")
        if not re.fullmatch(r"(?:https?|socks5h?)://[^\s/]+/?", text):
            raise self._error(ErrorCode.SERVER_PROXY_INVALID, "proxy")
        return text

    def _file(self, entry: str, text: str | None) -> Path | None:
        if text is None:
            return None
        try:
            return Path(text).expanduser()
        except RuntimeError as error:
            raise self._error(ErrorCode.SERVER_FILE_PATH_INVALID, entry) from error

    def _error(self, code: ErrorCode, *entry: str, **values: object) -> ConfigError:
        return self._make_error(code, ("servers", self._name, *entry), **values)


def _reason(error: msgspec.ValidationError) -> str:
    return str(error).partition(" - at ")[0]
