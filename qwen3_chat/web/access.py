"""Access to the app: for the one who came by the link, from a page of ours, and for nobody else. Pure.

- The link works once. Its key becomes a cookie that scripts can't read and other sites can't send.
- A name that leads to this machine (DNS rebinding) is no name of ours, so the host is checked each time.
- A page of another server on this machine has another port, so another origin. It is the same site, so it
  would send the cookie: the origin is checked each time as well, and the cookie belongs to a path that only
  this server has, so other servers of this machine are not sent it.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from enum import StrEnum

KEY_BYTES = 32
PATH_BYTES = 8
HOST_NAMES = ("127.0.0.1", "localhost")
COOKIE = "qwen3-chat"
OWN_FETCH_SITES = ("same-origin", "none")
"""The values of `Sec-Fetch-Site` for a page of ours, and for an address that the user typed or opened."""


class Refusal(StrEnum):
    """The reason for which a request gets nothing but a sentence; `web.refused.*` has the sentences."""

    HOST = "host"
    SOURCE = "source"
    LINK = "link"
    NO_COOKIE = "no_cookie"
    UNKNOWN = "unknown"


class Refused(Exception):
    """A request that gets nothing."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Sender:
    """The headers of a request that tell where it comes from; None where one is missing.

    `source` is the header `Origin`.
    """

    host: str | None
    source: str | None
    fetch_site: str | None
    cookie: str | None


class Access:
    """The link, the cookie and the addresses of one run of the server."""

    def __init__(self, port: int) -> None:
        self._hosts = frozenset(f"{name}:{port}" for name in HOST_NAMES)
        self._key: str | None = secrets.token_urlsafe(KEY_BYTES)
        self._cookie = secrets.token_urlsafe(KEY_BYTES)
        self.path = f"/{secrets.token_hex(PATH_BYTES)}"
        self.link = f"http://{HOST_NAMES[0]}:{port}{self.path}/enter?key={self._key}"

    def enter(self, key: str, sender: Sender) -> str:
        """Use up the link; return the cookie that takes its place.

        Raises:
            Refused: the key is not that of the link, or the link was used.
        """
        self._check_host(sender)
        self._check_source(sender)  # a link in a file or a mail is followed from elsewhere: it has the key
        if self._key is None or not _are_equal(key, self._key):
            raise Refused(Refusal.LINK)
        self._key = None
        return self._cookie

    def check(self, sender: Sender, *, needs_source: bool = False) -> None:
        """Make sure that a request comes from the page; that of a websocket always tells its origin.

        Raises:
            Refused: it does not, or it does not say so.
        """
        self._check_host(sender)
        self._check_source(sender)
        is_foreign = sender.fetch_site is not None and sender.fetch_site not in OWN_FETCH_SITES
        if is_foreign or (needs_source and sender.source is None):
            raise Refused(Refusal.SOURCE)
        if sender.cookie is None or not _are_equal(sender.cookie, self._cookie):
            raise Refused(Refusal.NO_COOKIE)

    def _check_host(self, sender: Sender) -> None:
        if sender.host not in self._hosts:
            raise Refused(Refusal.HOST)

    def _check_source(self, sender: Sender) -> None:
        if sender.source is not None and sender.source != f"http://{sender.host}":
            raise Refused(Refusal.SOURCE)


def _are_equal(given: str, secret: str) -> bool:
    """Compare in a time that tells nothing of the secret."""
    return hmac.compare_digest(given.encode(errors="surrogateescape"), secret.encode())
