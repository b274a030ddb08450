"""What opens a server: its key, headers, certificates, the proxy on the way."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qwen3_chat.errors import EngineError, UsageError
from qwen3_chat.servers.endpoint import OWN_VARIABLE

_KEY = re.compile(r"[!-~]+")  # visible ASCII: what a header can carry
HIDDEN = "•••"


class ApiKey:
    """A secret that no text, log or error shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str, place: str = OWN_VARIABLE, *, spaced: bool = False) -> None:
        """Take the key from where it was found; `spaced` says that it may hold spaces.

        Raises:
            UsageError: a header can't carry it.
        """
        self._value = value.strip()
        if not _KEY.fullmatch(self._value.replace(" ", "") if spaced else self._value):
            raise UsageError("remote.bad_key", variable=place)

    def __repr__(self) -> str:
        return f"ApiKey({HIDDEN})"

    @property
    def as_header(self) -> str:
        """The key alone, as the value of a header that carries nothing else."""
        return self._value

    @property
    def headers(self) -> dict[str, str]:
        """What a request carries to be let in."""
        return {"Authorization": f"Bearer {self._value}"}

    def removed_from(self, text: str) -> str:
        """Return a text of the server's, which may quote the key, without it."""
        return text.replace(self._value, HIDDEN)


@dataclass(frozen=True, slots=True)
class Access:
    """Everything that lets a request in.

    `place` is where a key belongs, as a user is told. `proxy` is an address, from a secret where it holds a
    password; without one the environment decides.
    """

    key: ApiKey | None = None
    headers: Mapping[str, str | ApiKey] = field(default_factory=dict)
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    verifies: bool = True
    proxy: str | ApiKey | None = None
    place: str = OWN_VARIABLE

    @property
    def sends_secrets(self) -> bool:
        """Whether anything secret goes along with each request."""
        return self.key is not None or any(isinstance(value, ApiKey) for value in self.headers.values())

    @property
    def sent_headers(self) -> dict[str, str]:
        """The headers of every request; these show the secrets."""
        own = {name: _shown(value) for name, value in self.headers.items()}
        return {"User-Agent": "qwen3-chat", **(self.key.headers if self.key else {}), **own}

    @property
    def proxy_address(self) -> str | None:
        """The proxy's address; this shows its password."""
        return None if self.proxy is None else _shown(self.proxy)

    def removed_from(self, text: str) -> str:
        """Return a text, which may quote secrets, without them."""
        for secret in (self.key, self.proxy, *self.headers.values()):
            if isinstance(secret, ApiKey):
                text = secret.removed_from(text)
        return text

    def tls_context(self) -> ssl.SSLContext:
        """Make the rules by which certificates are checked and shown.

        Raises:
            EngineError: a file of a certificate can't be used.
        """
        import httpx2  # here: it takes 0.1 s

        context = httpx2.create_ssl_context(verify=self.verifies)
        file = self.ca_file
        try:
            if file is not None:
                context.load_verify_locations(file)
            if (file := self.client_certificate) is not None:
                context.load_cert_chain(file, self.client_key, password=_no_passphrase)
        except (OSError, ssl.SSLError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise EngineError("remote.bad_certificate", file=file, reason=reason) from error
        return context


def _shown(value: str | ApiKey) -> str:
    return value.as_header if isinstance(value, ApiKey) else value


def _no_passphrase() -> str:
    """Answer in place of a question on the terminal, which is the interface's."""
    return ""
