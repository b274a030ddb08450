"""Where a server is, with the key that opens it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from qwen3_chat.errors import UsageError

OWN_VARIABLE = "QWEN3_CHAT_API_KEY"
FILE_VARIABLE = "QWEN3_CHAT_API_KEY_FILE"
_KNOWN_TAILS = ("/chat/completions", "/api/chat", "/api", "/models")
_VERSION = re.compile(r"/v\d+$")
_KEY = re.compile(r"[!-~]+")  # visible ASCII: what a header can carry


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


class ApiKey:
    """A secret that no text, log or error shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str, variable: str = OWN_VARIABLE) -> None:
        """Take the key from where it was found.

        Raises:
            UsageError: a header can't carry it.
        """
        self._value = value.strip()
        if not _KEY.fullmatch(self._value):
            raise UsageError("remote.bad_key", variable=variable)

    def __repr__(self) -> str:
        return "ApiKey(•••)"

    @property
    def headers(self) -> dict[str, str]:
        """What a request carries to be let in."""
        return {"Authorization": f"Bearer {self._value}"}

    def removed_from(self, text: str) -> str:
        """Return a text of the server's, which may quote the key, without it."""
        return text.replace(self._value, "•••")


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
        return ApiKey(_read(Path(file).expanduser()), FILE_VARIABLE)
    return ApiKey(environ[name], name) if name else None


def _read(file: Path) -> str:
    """Read a file that only its owner may read; Windows keeps such rights elsewhere."""
    try:
        if os.name == "posix" and file.stat().st_mode & 0o077:
            raise UsageError("remote.key_file_open", file=file)
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "UTF-8"
        raise UsageError("remote.key_file_unreadable", file=file, reason=reason) from error


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
