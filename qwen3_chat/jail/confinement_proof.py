"""The proof that this process is confined: before any code runs, what must fail is tried.

A sandbox that the system accepts and does not enforce would otherwise go unnoticed.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

_PROBE_NAME: Final = ".qwen3-chat-probe"
_NOWHERE: Final = ("127.0.0.1", 9)


def prove_confined(folder: str) -> None:
    """Try to get out of the folder, into the network and into another process.

    Raises:
        OSError: something of that succeeded.
    """
    for name, escape in escapes(folder).items():
        try:
            escape()
        except OSError:
            continue
        raise OSError(errno.EPERM, f"not confined: {name}")


def escapes(folder: str) -> Mapping[str, Callable[[], None]]:
    """Return what is tried, by name; each raises `OSError` in a process that is confined to the folder."""
    return {
        "a file of the system": partial(_read, "/etc/passwd"),
        "the list of the root": partial(_list, "/"),
        "the list of the folder above": partial(_list, str(Path(folder).parent)),
        "a file beside the folder": partial(_write, Path(folder).parent / _PROBE_NAME),
        "a datagram": partial(_connect, socket.SOCK_DGRAM),
        "a connection": partial(_connect, socket.SOCK_STREAM),
        "a port": _listen,
        "a process": _fork,
    }


def _read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def _list(path: str) -> None:
    with os.scandir(path) as entries:
        next(entries, None)


def _write(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    path.unlink()


def _connect(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as connection, suppress(ConnectionRefusedError):
        connection.connect(_NOWHERE)  # refused, it went out and nobody was there


def _listen() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))


def _fork() -> None:
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)
