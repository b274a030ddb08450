"""The sources of files: Hugging Face or a mirror of it, ModelScope."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlsplit

from qwen3_chat import __version__
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import HubError
from qwen3_chat.models.hub.blocking_calls import run_detached
from qwen3_chat.models.hub.download_errors import SourceFailedError, SourceRefusedError
from qwen3_chat.models.hub.http_responses import check_status, retry_after_s
from qwen3_chat.models.hub.hub_file import HubFile
from qwen3_chat.models.hub.retry_policy import RetryPolicy
from qwen3_chat.proxies import ProxyAddressError, TransportT, proxy_mounts
from qwen3_chat.texts import Language, current_language

if TYPE_CHECKING:
    import ssl

    import httpx2

HUGGING_FACE_ENDPOINT = "https://huggingface.co"
MODELSCOPE_ENDPOINT = "https://modelscope.cn"
MAX_FILE_BYTES = 1 << 50
MAX_PATH_CHARACTERS = 1000
CLIENT_READ_BYTES = 1 << 20
"""The bytes that a client reads at once; with httpcore2's 64 KiB a fast source costs twice the time."""


class Source(StrEnum):
    """A kind of source; the value is what `--source` takes."""

    HF = "hf"
    MODELSCOPE = "modelscope"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in a listing; not every listing knows every checksum."""

    path: str
    size_bytes: int
    sha256: str | None


class Hub(Protocol):
    """A source that lists repositories and delivers their files over plain HTTP."""

    @property
    def source(self) -> Source:
        """The kind of source."""

    @property
    def host(self) -> str:
        """The host's name, for sentences to the user."""

    def file_url(self, file: HubFile) -> str:
        """Return the URL of a file."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers of each request."""

    async def list_files(
        self, repository: str, revision: str | None, retry_policy: RetryPolicy
    ) -> tuple[RemoteFile, ...]:
        """List the files of a repository.

        Raises:
            SourceFailedError: it failed, and another attempt may help.
            SourceRefusedError: the source refused, and another attempt won't help.
        """


def new_http_client(retry_policy: RetryPolicy) -> httpx2.AsyncClient:
    """Make the HTTP client; it follows redirects, and sends no token to other hosts that they lead to.

    httpx2 comes with huggingface_hub. It is async, so that a download is cancelled within milliseconds even
    while its server is silent, and it supports proxies and the system's certificates.

    Raises:
        HubError: the address of the user's proxy can't be used.
    """
    import httpcore2
    import httpx2  # here: its import takes a third of a second, which only downloads need

    httpcore2.AsyncHTTP11Connection.READ_NUM_BYTES = CLIENT_READ_BYTES

    def transport(proxy: str) -> httpx2.AsyncHTTPTransport:
        return httpx2.AsyncHTTPTransport(proxy=proxy)

    return httpx2.AsyncClient(**http_client_options(retry_policy), mounts=_mounts(transport))


def new_blocking_client(retry_policy: RetryPolicy) -> httpx2.Client:
    """Make the same client for a thread.

    Raises:
        HubError: the address of the user's proxy can't be used.
    """
    import httpx2

    def transport(proxy: str) -> httpx2.HTTPTransport:
        return httpx2.HTTPTransport(proxy=proxy)

    return httpx2.Client(**http_client_options(retry_policy), mounts=_mounts(transport))


def _mounts(make_transport: Callable[[str], TransportT]) -> dict[str, TransportT | None]:
    try:
        return proxy_mounts(make_transport)
    except ProxyAddressError as error:
        raise HubError(ErrorCode.DOWNLOAD_PROXY_INVALID, variable=error.variable) from error


def _new_listing_client(retry_policy: RetryPolicy) -> httpx2.AsyncClient:
    from qwen3_chat.models.hub.limited_bodies import UNPACKED, limit_body_async

    client = new_http_client(retry_policy)
    client.headers.update(UNPACKED)
    client.event_hooks = {"response": [limit_body_async]}
    return client


@cache
def _ssl_context(_certificates: tuple[str | None, ...]) -> ssl.SSLContext:
    """Make the context of TLS, which takes as long as a small download; once for the same certificates."""
    import httpx2

    return httpx2.create_ssl_context()


def http_client_options(retry_policy: RetryPolicy) -> dict[str, Any]:
    """Return the options of every HTTP client."""
    import httpx2

    certificates = tuple(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))

    return {
        "follow_redirects": True,
        "timeout": httpx2.Timeout(retry_policy.stall_timeout_s, connect=retry_policy.connect_timeout_s),
        "headers": {"User-Agent": f"qwen3-chat/{__version__}"},
        "verify": _ssl_context(certificates),
        "trust_env": False,  # httpx2 would read the proxies too, in fewer spellings
    }


@cache
def _use_own_client(retry_policy: RetryPolicy) -> None:
    """Have huggingface_hub use a client with our limits, which takes the user's proxies in every spelling."""
    from huggingface_hub import set_client_factory

    from qwen3_chat.models.hub.limited_bodies import ask_unpacked, limit_body

    def new_client() -> httpx2.Client:
        client = new_blocking_client(retry_policy)
        client.event_hooks = {"request": [ask_unpacked], "response": [limit_body]}
        return client

    set_client_factory(new_client)


@dataclass(frozen=True, slots=True)
class HuggingFace:
    """Hugging Face, or a mirror with its protocol; listings go through huggingface_hub."""

    endpoint: str = HUGGING_FACE_ENDPOINT
    token: Callable[[], str | None] = field(default=lambda: None)
    source: Source = Source.HF

    @property
    def host(self) -> str:
        """The host's name, for sentences to the user."""
        return _host(self.endpoint)

    def file_url(self, file: HubFile) -> str:
        """Return the URL of a file."""
        revision = quote(file.revision or "main", safe="")
        return f"{self.endpoint}/{file.repository}/resolve/{revision}/{quote(file.path)}"

    def headers(self) -> Mapping[str, str]:
        """Return the header with the user's token, if there is one."""
        token = self.token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    async def list_files(
        self, repository: str, revision: str | None, retry_policy: RetryPolicy
    ) -> tuple[RemoteFile, ...]:
        """List the files of a repository."""
        try:
            return await asyncio.wait_for(
                run_detached(lambda: self._listing(repository, revision, retry_policy)),
                retry_policy.listing_timeout_s,
            )
        except TimeoutError as error:
            raise SourceFailedError(ErrorCode.SOURCE_TIMEOUT, host=self.host) from error

    def _listing(
        self, repository: str, revision: str | None, retry_policy: RetryPolicy
    ) -> tuple[RemoteFile, ...]:
        import httpx2
        from huggingface_hub import HfApi
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled

        api = HfApi(endpoint=self.endpoint, token=self.token() or False)
        _use_own_client(retry_policy)
        try:
            # not `list_repo_tree`, which tries for half a minute to reach an unreachable host
            info = api.model_info(
                repository, revision=revision, files_metadata=True, timeout=retry_policy.listing_timeout_s
            )
            return tuple(
                _checked_file(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None)
                for file in info.siblings or ()
            )
        except OfflineModeIsEnabled as error:
            raise SourceRefusedError(ErrorCode.HUB_OFFLINE) from error
        except HfHubHTTPError as error:
            if isinstance(error, GatedRepoError):
                raise SourceRefusedError(
                    ErrorCode.REPOSITORY_GATED, host=self.host, repository=repository
                ) from error
            headers = {name.lower(): value for name, value in error.response.headers.items()}
            check_status(error.response.status_code, headers, self.host, repository, repository)
            raise SourceFailedError(ErrorCode.SOURCE_LISTING_UNREADABLE, host=self.host) from error
        except (httpx2.HTTPError, OSError) as error:
            raise network_error(self.host, error) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise SourceFailedError(ErrorCode.SOURCE_LISTING_UNREADABLE, host=self.host) from error


@dataclass(frozen=True, slots=True)
class ModelScope:
    """ModelScope: the same repositories under the same names, without commits to pin."""

    endpoint: str = MODELSCOPE_ENDPOINT
    source: Source = Source.MODELSCOPE

    @property
    def host(self) -> str:
        """The host's name, for sentences to the user."""
        return _host(self.endpoint)

    def file_url(self, file: HubFile) -> str:
        """Return the URL of a file."""
        query = f"Revision=master&FilePath={quote(file.path, safe='')}"
        return f"{self.endpoint}/api/v1/models/{file.repository}/repo?{query}"

    def headers(self) -> Mapping[str, str]:
        """Return no headers."""
        return {}

    async def list_files(
        self, repository: str, revision: str | None, retry_policy: RetryPolicy
    ) -> tuple[RemoteFile, ...]:
        """List the files of a repository's newest revision, whatever `revision` is."""
        import httpx2

        # `Recursive` must be capitalised; in lower case it has been seen to be ignored
        url = f"{self.endpoint}/api/v1/models/{repository}/repo/files?Revision=master&Recursive=True"
        try:
            async with (
                _new_listing_client(retry_policy) as client,
                asyncio.timeout(retry_policy.listing_timeout_s),
            ):
                response = await client.get(url)
        except TimeoutError as error:
            raise SourceFailedError(ErrorCode.SOURCE_TIMEOUT, host=self.host) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise network_error(self.host, error) from error
        except ValueError as error:  # a body beyond its limit
            raise SourceFailedError(ErrorCode.SOURCE_LISTING_UNREADABLE, host=self.host) from error
        if response.status_code == 404:
            raise SourceRefusedError(ErrorCode.REPOSITORY_NOT_FOUND, host=self.host, repository=repository)
        check_status(response.status_code, response.headers, self.host, repository, repository)
        try:
            body: Any = json.loads(response.content)
            if body["Code"] != 200:  # an error that came with status 200
                raise SourceRefusedError(
                    ErrorCode.REPOSITORY_NOT_FOUND, host=self.host, repository=repository
                )
            return tuple(
                _checked_file(entry["Path"], entry["Size"], entry.get("Sha256"))
                for entry in body["Data"]["Files"]
                if entry["Type"] == "blob"
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            wait_s = retry_after_s(response.headers)
            raise SourceFailedError(
                ErrorCode.SOURCE_LISTING_UNREADABLE, wait_s=wait_s, host=self.host
            ) from error


def _checked_file(path: object, size_bytes: object, sha256: object) -> RemoteFile:
    """Return a file of a listing.

    Raises:
        ValueError: its name or its size can't be that of a file.
    """
    if isinstance(size_bytes, str) and re.fullmatch(r"[0-9]{1,16}", size_bytes):
        size_bytes = int(size_bytes)
    if not isinstance(size_bytes, int) or not 0 <= size_bytes <= MAX_FILE_BYTES:
        raise ValueError("size")
    if not isinstance(path, str) or not 0 < len(path) <= MAX_PATH_CHARACTERS:
        raise ValueError("path")
    return RemoteFile(path, size_bytes, sha256 if isinstance(sha256, str) and sha256 else None)


def endpoints_from(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the URLs of Hugging Face and ModelScope, which HF_ENDPOINT and MODELSCOPE_ENDPOINT change."""
    return (
        _endpoint(environ.get("HF_ENDPOINT"), HUGGING_FACE_ENDPOINT),
        _endpoint(environ.get("MODELSCOPE_ENDPOINT"), MODELSCOPE_ENDPOINT),
    )


def is_offline(environ: Mapping[str, str]) -> bool:
    """Return whether the user forbids the network, by the variables of Hugging Face's libraries."""
    value = environ.get("HF_HUB_OFFLINE") or environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.strip().upper() in ("1", "ON", "YES", "TRUE")


def mirror_hosts(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the hosts of the sources in use, whose addresses users may paste."""
    return tuple(_host(endpoint) for endpoint in endpoints_from(environ))


def hubs_from(environ: Mapping[str, str], source: Source | None = None) -> tuple[Hub, ...]:
    """Return the sources to try in turn: only `source` if it is given, else all; none where offline.

    Who reads Chinese, or has the time of China, is nearer to ModelScope, unless HF_ENDPOINT names a mirror.
    """
    if is_offline(environ):
        return ()
    hugging_face, modelscope = endpoints_from(environ)
    hubs: tuple[Hub, ...] = (HuggingFace(hugging_face, _token), ModelScope(modelscope))
    is_near = current_language() is Language.ZH or _time_zone(environ) in _CHINESE_TIME_ZONES
    if is_near and not environ.get("HF_ENDPOINT"):
        hubs = hubs[::-1]
    return tuple(hub for hub in hubs if source in (None, hub.source))


_CHINESE_TIME_ZONES = (
    *("Shanghai", "Chongqing", "Chungking", "Harbin", "Urumqi", "Kashgar", "PRC"),
    "China Standard Time",  # as Windows calls it
)
_WINDOWS_TIME_ZONE = r"SYSTEM\CurrentControlSet\Control\TimeZoneInformation"
_LOCAL_TIME = Path("/etc/localtime")


def _time_zone(environ: Mapping[str, str]) -> str:
    """Return the last part of the name of the time zone, such as `Shanghai`; empty where it is not told."""
    name = environ.get("TZ", "").removeprefix(":")
    if not name:
        with suppress(OSError):  # a link into the database of time zones on Linux and macOS
            name = _windows_time_zone() if sys.platform == "win32" else str(_LOCAL_TIME.readlink())
    return name.rpartition("/")[2]


def _windows_time_zone() -> str:
    """Return the name of the time zone in Windows' registry, which is the same in every language."""
    if sys.platform == "win32":
        import winreg

        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _WINDOWS_TIME_ZONE) as key:
            return str(winreg.QueryValueEx(key, "TimeZoneKeyName")[0])
    return ""


def network_error(host: str, error: Exception) -> SourceFailedError | SourceRefusedError:
    """Return the error that stands for an exception of a request: unreachable, silent, cut off, a loop."""
    import httpx2

    match error:
        case httpx2.TooManyRedirects():
            return SourceRefusedError(ErrorCode.SOURCE_STATUS_UNEXPECTED, host=host, status="3xx")
        case httpx2.ConnectTimeout() | httpx2.ConnectError() | ConnectionError():
            return SourceFailedError(ErrorCode.SOURCE_UNREACHABLE, host=host)
        case httpx2.TimeoutException():
            return SourceFailedError(ErrorCode.SOURCE_TIMEOUT, host=host)
        case _:
            return SourceFailedError(ErrorCode.SOURCE_DISCONNECTED, host=host)


def _token() -> str | None:
    from huggingface_hub import get_token  # HF_TOKEN, or what `hf auth login` stored

    return get_token()


def _endpoint(value: str | None, default: str) -> str:
    if not value:
        return default
    return (value if "://" in value else f"https://{value}").rstrip("/")


def _host(endpoint: str) -> str:
    return urlsplit(endpoint).netloc or endpoint
