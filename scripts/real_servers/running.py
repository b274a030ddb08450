"""A real server as a process: started, waited for, killed, started again on the same port."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import httpx2
import psutil

from real_servers.recipes import KEY, Recipe, Start

IDLE_SHARE = 0.25
"""The share of a processor below which a server counts as idle; a reply takes a whole one."""
IDLE_SECONDS = 3
STOP_LIMIT_S = 90
_PAUSE_S = 0.5


class NotReadyError(Exception):
    """A server that ended, or did not answer in time; `str()` is the end of its log."""


class RunningServer:
    """A server with all of its processes; `upstream` is the one that answers for it."""

    def __init__(self, recipe: Recipe, start: Start, upstream: RunningServer | None = None) -> None:
        self.recipe = recipe
        self._start = start
        self._upstream = upstream
        self._log = start.work / f"{recipe.name}-{start.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address."""
        return f"http://127.0.0.1:{self._start.port}"

    async def start(self) -> None:
        """Start the server and wait until it lists its models.

        Raises:
            NotReadyError: it ended, or took too long.
        """
        if self._upstream is not None and self._upstream._process is None:
            await self._upstream.start()
        try:
            process = self._process = self._run()
        except OSError as error:  # no such program
            raise NotReadyError(str(error)) from error
        deadline_s = time.monotonic() + self.recipe.ready_s
        async with httpx2.AsyncClient(trust_env=False) as client:
            while time.monotonic() < deadline_s and process.poll() is None:
                with suppress(httpx2.HTTPError):
                    headers = {"Authorization": f"Bearer {KEY}"}
                    listing = await client.get(f"{self.url}/v1/models", headers=headers, timeout=10)
                    if listing.status_code == 200:
                        return
                await asyncio.sleep(_PAUSE_S)
        self.kill()
        raise NotReadyError(self.last_lines())

    def _run(self) -> subprocess.Popen[bytes]:
        with open(self._log, "ab") as log:
            return subprocess.Popen(
                [str(part) for part in self.recipe.command(self._start)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=server_environment(os.environ, self._start.work) | dict(self.recipe.environ),
                start_new_session=True,
            )

    def last_lines(self, count: int = 5) -> str:
        """Return the last lines of the log."""
        return "\n".join(self._log.read_text("utf-8", errors="replace").splitlines()[-count:])

    def kill(self) -> None:
        """End the server and its children at once, without a goodbye."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None

    def close(self) -> None:
        """End the server and the one behind it."""
        self.kill()
        if self._upstream is not None:
            self._upstream.close()

    async def wait_until_idle(self) -> bool:
        """Return True once the server needs next to no processor for seconds; False if it goes on."""
        deadline_s = time.monotonic() + STOP_LIMIT_S
        n_idle, before_s = 0, self._processor_s()
        while n_idle < IDLE_SECONDS and time.monotonic() < deadline_s:
            await asyncio.sleep(1)
            now_s = self._processor_s()
            n_idle = n_idle + 1 if now_s - before_s < IDLE_SHARE else 0
            before_s = now_s
        return n_idle >= IDLE_SECONDS

    def _processor_s(self) -> float:
        """Return the processor time of the server with its children so far."""
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        total_s = self._upstream._processor_s() if self._upstream else 0.0
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total_s += times.user + times.system
        return total_s


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def server_environment(environ: Mapping[str, str], work: Path) -> dict[str, str]:
    """Return a server's variables: a home of its own, nothing downloaded, nobody told."""
    home = work / "home"
    (home / "hub").mkdir(parents=True, exist_ok=True)  # without it, mlx-lm lists nothing
    dropped = {"PYTHONPATH", "PYTHONHOME"}
    return {name: value for name, value in environ.items() if name not in dropped} | {
        "HOME": str(home),
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LC_ALL": "C.UTF-8",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
