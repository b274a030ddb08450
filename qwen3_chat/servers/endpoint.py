"""The address of a server, as people write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from qwen3_chat.errors import UsageError

OWN_VARIABLE = "QWEN3_CHAT_API_KEY"
_KNOWN_TAILS = ("/chat/completions", "/api/chat", "/api", "/models")
_VERSION = re.compile(r"/v\d+$")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of a server: `root` is where its own paths begin, `api` where the OpenAI protocol does."""

    root: str
    api: str
    host: str
    is_loopback: bool
    is_encrypted: bool

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read an address as people write it: `localhost:8000`, `http://host/v1`, a whole request URL.

        Raises:
            UsageError: it is none, or it holds a password.
        """
        parts = _split(text)
        if parts.username is not None or parts.password is not None or parts.query:
            raise UsageError("remote.secret_in_url", variable=OWN_VARIABLE)
        path = parts.path.rstrip("/")
        for tail in _KNOWN_TAILS:
            path = path.removesuffix(tail)
        origin = f"{parts.scheme}://{parts.netloc}"
        root = origin + _VERSION.sub("", path)
        return cls(
            root=root,
            api=origin + path if _VERSION.search(path) else f"{root}/v1",
            host=parts.netloc,
            is_loopback=_is_loopback(parts.hostname or ""),
            is_encrypted=parts.scheme == "https",
        )

    def is_under(self, domain: str) -> bool:
        """Tell whether the server belongs to a domain."""
        name = urlsplit(self.root).hostname or ""
        return name == domain or name.endswith(f".{domain}")


def _split(text: str) -> SplitResult:
    text = text.strip()
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError as error:
        raise UsageError("remote.bad_url", url=text) from error
    is_usable = parts.scheme in ("http", "https") and parts.hostname and port_is_fine and not parts.fragment
    if not is_usable or re.search(r"[\s\x00-\x1f\x7f\\]", text):
        raise UsageError("remote.bad_url", url=text)
    return parts


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
