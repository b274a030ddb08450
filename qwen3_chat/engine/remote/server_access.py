"""The access to a server: API keys, headers, certificates, proxies, and the stores of their secrets."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError, UsageError
from qwen3_chat.servers import (
    API_KEY_VARIABLE,
    REDACTED,
    Endpoint,
    SecretReference,
    SecretSource,
    ServerProfile,
)

API_KEY_FILE_VARIABLE = "QWEN3_CHAT_API_KEY_FILE"
KEYRING_SERVICE = "qwen3-chat"
MAX_KEY_FILE_BYTES = 64 * 1024
_KEY = re.compile(r"[!-~]+")  # visible ASCII, which a header can carry


class ApiKey:
    """A secret that never appears in a text, a log or an error."""

    __slots__ = ("_value",)

    def __init__(self, value: str, location: str = API_KEY_VARIABLE, *, allows_spaces: bool = False) -> None:
        """Create the key from a value found at `location`; with `allows_spaces`, it may contain spaces.

        Raises:
            UsageError: a header can't carry the value.
        """
        self._value = value.strip()
        if not _KEY.fullmatch(self._value.replace(" ", "") if allows_spaces else self._value):
            raise UsageError(ErrorCode.API_KEY_INVALID, variable=location)

    def __repr__(self) -> str:
        return f"ApiKey({REDACTED})"

    @property
    def as_header(self) -> str:
        """The key alone, as the whole value of a header."""
        return self._value

    @property
    def headers(self) -> dict[str, str]:
        """The headers that authorise a request."""
        return {"Authorization": f"Bearer {self._value}"}

    def redact(self, text: str) -> str:
        """Return a text of the server without the key, which it may quote."""
        return text.replace(self._value, REDACTED)


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """Everything that authorises a request and carries it to the server.

    `key_location` is the place for a key that error messages name. `proxy` is an address, a secret if it
    contains a password; without one, the environment decides.
    """

    key: ApiKey | None = None
    headers: Mapping[str, str | ApiKey] = field(default_factory=dict)
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    verifies_certificate: bool = True
    proxy: str | ApiKey | None = None
    key_location: str = API_KEY_VARIABLE

    @property
    def sends_secrets(self) -> bool:
        """True if every request carries a secret."""
        return self.key is not None or any(isinstance(value, ApiKey) for value in self.headers.values())

    @property
    def request_headers(self) -> dict[str, str]:
        """The headers of every request, with the secrets in plain text."""
        profile_headers = {name: _reveal(value) for name, value in self.headers.items()}
        return {"User-Agent": "qwen3-chat", **(self.key.headers if self.key else {}), **profile_headers}

    @property
    def proxy_address(self) -> str | None:
        """The proxy's address, with its password in plain text."""
        return None if self.proxy is None else _reveal(self.proxy)

    def redact(self, text: str) -> str:
        """Return a text without the secrets that it may quote."""
        for secret in (self.key, self.proxy, *self.headers.values()):
            if isinstance(secret, ApiKey):
                text = secret.redact(text)
        return text

    def tls_context(self) -> ssl.SSLContext:
        """Create the TLS context that checks the server's certificate and presents the client's.

        Raises:
            EngineError: a certificate file can't be used.
        """
        import httpx2  # here: it takes 0.1 s

        context = httpx2.create_ssl_context(verify=self.verifies_certificate)
        file = self.ca_file
        try:
            if file is not None:
                context.load_verify_locations(file)
            if (file := self.client_certificate) is not None:
                context.load_cert_chain(file, self.client_key, password=_no_passphrase)
        except (OSError, ssl.SSLError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise EngineError(ErrorCode.CERTIFICATE_FILE_INVALID, file=file, reason=reason) from error
        return context


def _reveal(value: str | ApiKey) -> str:
    return value.as_header if isinstance(value, ApiKey) else value


def _no_passphrase() -> str:
    """Return no passphrase: OpenSSL must not ask on the terminal, which belongs to the interface."""
    return ""


def resolve_access(profile: ServerProfile, environ: Mapping[str, str]) -> ServerAccess:
    """Return the access to the server of a profile, with all its secrets read from their stores.

    If the profile has no key, the environment's key for its address is used.

    Raises:
        UsageError: a secret is not at the location in the profile.
    """
    key = (
        key_from_environment(profile.endpoint, environ)
        if profile.key is None
        else resolve_secret(profile.key, environ)
    )
    return ServerAccess(
        key=key,
        headers={name: _resolve_if_secret(value, environ) for name, value in profile.headers.items()},
        ca_file=profile.ca_file,
        client_certificate=profile.client_certificate,
        client_key=profile.client_key,
        verifies_certificate=profile.verifies_certificate,
        proxy=None if profile.proxy is None else _resolve_if_secret(profile.proxy, environ),
        key_location=str(profile.key or (f"[servers.{profile.name}]" if profile.name else API_KEY_VARIABLE)),
    )


def key_from_environment(endpoint: Endpoint, environ: Mapping[str, str]) -> ApiKey | None:
    """Return the key for an endpoint from the environment; each key is sent only to its own server.

    `QWEN3_CHAT_API_KEY`, or the file that `QWEN3_CHAT_API_KEY_FILE` names, is for the endpoint. The others
    belong to a service and would leak if any other server got them: `DASHSCOPE_API_KEY` to Alibaba Cloud,
    `OPENAI_API_KEY` to OpenAI or to the server in `OPENAI_BASE_URL`.

    Raises:
        UsageError: the variable contains something other than a key, or others can read the file.
    """
    variables = [API_KEY_VARIABLE]
    if endpoint.is_under("aliyuncs.com"):
        variables.append("DASHSCOPE_API_KEY")
    base = environ.get("OPENAI_BASE_URL", "")
    if endpoint.is_under("api.openai.com") or (base and Endpoint.parse(base).host == endpoint.host):
        variables.append("OPENAI_API_KEY")
    name = next((name for name in variables if environ.get(name, "").strip()), None)
    if name != API_KEY_VARIABLE and (file := environ.get(API_KEY_FILE_VARIABLE)):
        return ApiKey(_read_key_file(file), API_KEY_FILE_VARIABLE)
    return ApiKey(environ[name], name) if name else None


def resolve_secret(
    secret: SecretReference, environ: Mapping[str, str], *, allows_spaces: bool = False
) -> ApiKey:
    """Read a secret from its store.

    Raises:
        UsageError: the secret is missing, can't be read, or is readable by others.
    """
    return ApiKey(_read_secret(secret, environ), str(secret), allows_spaces=allows_spaces)


def _read_secret(secret: SecretReference, environ: Mapping[str, str]) -> str:
    match secret.source:
        case SecretSource.ENV:
            if value := environ.get(secret.location, "").strip():
                return value
            raise UsageError(ErrorCode.API_KEY_VARIABLE_MISSING, variable=secret.location)
        case SecretSource.FILE:
            return _read_key_file(secret.location)
        case SecretSource.KEYRING:
            return _read_keyring(secret.location)


def _resolve_if_secret(value: str | SecretReference, environ: Mapping[str, str]) -> str | ApiKey:
    return resolve_secret(value, environ, allows_spaces=True) if isinstance(value, SecretReference) else value


def _read_keyring(name: str) -> str:
    import keyring  # here: it takes 0.2 s, and few keys are there
    from keyring.errors import KeyringError

    try:
        value = keyring.get_password(KEYRING_SERVICE, name)
    except KeyringError as error:
        reason = str(error).partition(". ")[0] or type(error).__name__
        raise UsageError(ErrorCode.KEYRING_UNUSABLE, reason=reason) from error
    if value is None:
        raise UsageError(
            ErrorCode.API_KEY_NOT_IN_KEYRING, name=name, command=f"keyring set {KEYRING_SERVICE} {name}"
        )
    return value


def _read_key_file(path: str) -> str:
    """Read a file that only its owner may read; Windows has no such mode to check."""
    try:
        file = Path(path).expanduser()
        if os.name == "posix" and file.stat().st_mode & 0o077:
            raise UsageError(ErrorCode.API_KEY_FILE_NOT_PRIVATE, file=file)
        with file.open("rb") as stream:
            return stream.read(MAX_KEY_FILE_BYTES).decode()
    except (OSError, ValueError, RuntimeError) as error:
        reason = (
            error.strerror
            if isinstance(error, OSError)
            else "UTF-8"
            if isinstance(error, ValueError)
            else "~"
        )
        raise UsageError(ErrorCode.API_KEY_FILE_UNREADABLE, file=path, reason=reason) from error
