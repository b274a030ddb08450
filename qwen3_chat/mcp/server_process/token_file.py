"""The results of signing in to a server: tokens and the client's registration, in a private file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from mcp.shared.auth import OAuthClientInformationFull, OAuthMetadata, OAuthToken
from pydantic import ValidationError

from qwen3_chat.private_file import write_private_file

MAX_TOKEN_FILE_BYTES: Final = 1 << 18

EXPIRY_MARGIN_S: Final = 30.0
"""The time before its end at which a token counts as expired, in seconds."""


class StoredSignIn(msgspec.Struct):
    """The content of the file; it is of use for the server of this address only."""

    url: str
    port: int = 0
    """The port to which the browser is sent back, which the registration names."""
    client: dict[str, Any] | None = None
    tokens: dict[str, Any] | None = None
    expires_s: float | None = None
    metadata: dict[str, Any] | None = None
    """The authorization server's description of itself, such as where tokens are renewed."""


class TokenFile:
    """The storage that the SDK signs in with; `metadata` returns what the authorization server said."""

    def __init__(
        self,
        path: Path,
        url: str,
        given_client: OAuthClientInformationFull | None,
        on_secret: Callable[[str], None],
    ) -> None:
        self._path = path
        self._given_client = given_client
        self._on_secret = on_secret
        self.metadata: Callable[[], OAuthMetadata | None] = lambda: None
        self.stored = _read(path, url)
        self._tell_secrets()

    def known_metadata(self) -> OAuthMetadata | None:
        """Return what the authorization server said of itself last."""
        try:
            return OAuthMetadata.model_validate(self.stored.metadata) if self.stored.metadata else None
        except ValidationError:
            return None

    async def get_tokens(self) -> OAuthToken | None:
        """Return the tokens; an access token that has expired is left out, so that it is renewed."""
        try:
            tokens = OAuthToken.model_validate(self.stored.tokens) if self.stored.tokens else None
        except ValidationError:
            return None
        expires_s = self.stored.expires_s
        if tokens is not None and expires_s is not None and time.time() > expires_s - EXPIRY_MARGIN_S:
            return tokens.model_copy(update={"access_token": ""})
        return tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Store tokens."""
        metadata = self.metadata()
        self.stored.tokens = tokens.model_dump(mode="json", exclude_none=True)
        self.stored.expires_s = None if tokens.expires_in is None else time.time() + tokens.expires_in
        self.stored.metadata = metadata.model_dump(mode="json", exclude_none=True) if metadata else None
        await self._write()

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return the registration: the one that the entry of the server names, or the stored one."""
        try:
            stored = self.stored.client
            known = OAuthClientInformationFull.model_validate(stored) if stored else None
        except ValidationError:
            known = None
        return self._given_client or known

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Store a registration."""
        self.stored.client = client_info.model_dump(mode="json", exclude_none=True)
        await self._write()

    async def _write(self) -> None:
        self._tell_secrets()
        await asyncio.to_thread(write_private_file, self._path, msgspec.json.encode(self.stored))

    def _tell_secrets(self) -> None:
        stored = (self.stored.tokens or {}, self.stored.client or {})
        for values in stored:
            for name in ("access_token", "refresh_token", "client_secret"):
                if isinstance(value := values.get(name), str):
                    self._on_secret(value)


def _read(path: Path, url: str) -> StoredSignIn:
    """Return what the file says of a server; nothing of it where it is damaged or of another address."""
    try:
        with path.open("rb") as file:
            stored = msgspec.json.decode(file.read(MAX_TOKEN_FILE_BYTES), type=StoredSignIn)
    except (OSError, msgspec.MsgspecError):
        return StoredSignIn(url)
    return stored if stored.url == url else StoredSignIn(url)
