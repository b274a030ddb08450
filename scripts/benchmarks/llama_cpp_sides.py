"""The programs of llama.cpp with their defaults, as the other side of a comparison."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.engine_sides import N_CTX

_START_S = 240.0
_HOST = "127.0.0.1"


class LlamaBench:
    """The program llama-bench: speeds of evaluating a prompt and of decoding, in tokens per second."""

    def __init__(self, program: Path, model: Path, options: Sequence[str] = ()) -> None:
        self.command = [str(program), "-m", str(model), "-ngl", "0", "-o", "json", *options]

    def prompt_tokens_per_s(self, n_tokens: int) -> float:
        """Return the speed of evaluating a prompt of so many tokens."""
        return self._run(n_tokens, 0, 0)

    def decode_tokens_per_s(self, n_tokens: int, depth: int) -> float:
        """Return the speed of decoding so many tokens after `depth` others."""
        return self._run(0, n_tokens, depth)

    def _run(self, n_prompt: int, n_decoded: int, depth: int) -> float:
        sizes = ("-p", str(n_prompt), "-n", str(n_decoded), "-d", str(depth), "-r", "1")
        done = subprocess.run([*self.command, *sizes], capture_output=True, check=True)
        (result,) = json.loads(done.stdout)
        return float(result["avg_ts"])


class LlamaServer:
    """The program llama-server, with one model."""

    def __init__(self, program: Path, model: Path, log_path: Path, options: Sequence[str] = ()) -> None:
        with socket.socket() as probe:
            probe.bind((_HOST, 0))
            self._port = probe.getsockname()[1]
        self._log = log_path.open("wb")
        sizes = () if "-c" in options else ("-c", str(N_CTX))
        self.command = [str(program), "-m", str(model), "-ngl", "0", *sizes, *options]
        command = [*self.command, "--port", str(self._port)]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        self._wait()

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://{_HOST}:{self._port}"

    def close(self) -> None:
        """End the server."""
        self._process.kill()  # terminated, it may wait forever
        self._process.wait()
        self._log.close()

    def evaluate(self, tokens: Sequence[int]) -> None:
        """Evaluate tokens, so that they are in the server's cache as after a turn."""
        body = {"prompt": list(tokens), "n_predict": 1, "cache_prompt": True}
        connection = self._post("/completion", body)
        connection.getresponse().read()
        connection.close()

    def speeds(self, n_prompt: int, n_decoded: int, number: int) -> tuple[float, float]:
        """Evaluate a prompt of its own, then decode; return the server's figures of tokens per second."""
        body = {
            "prompt": [300 + number, *([320] * (n_prompt - 1))],
            "n_predict": n_decoded,
            "cache_prompt": False,
            "ignore_eos": True,
        }
        connection = self._post("/completion", body)
        try:
            timings = json.loads(connection.getresponse().read())["timings"]
        finally:
            connection.close()
        return float(timings["prompt_per_second"]), float(timings["predicted_per_second"])

    def first_delta_s(self, messages: Sequence[dict[str, str]]) -> float:
        """Request a reply; return the time to its first text."""
        started_s = time.perf_counter()
        connection = self._post(
            "/v1/chat/completions", {"messages": list(messages), "stream": True, "max_tokens": 8}
        )
        try:
            for line in connection.getresponse():
                if not line.startswith(b"data: {"):
                    continue
                (choice,) = json.loads(line[6:])["choices"]
                if choice["delta"].get("content") or choice["delta"].get("reasoning_content"):
                    return time.perf_counter() - started_s
        finally:
            connection.close()
        raise RuntimeError("llama-server said nothing")

    def _post(self, path: str, body: object) -> HTTPConnection:
        connection = HTTPConnection(_HOST, self._port, timeout=_START_S)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return connection

    def _wait(self) -> None:
        deadline_s = time.perf_counter() + _START_S
        while time.perf_counter() < deadline_s and self._process.poll() is None:
            try:
                connection = HTTPConnection(_HOST, self._port, timeout=5)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return
            except (OSError, HTTPException):
                pass
            time.sleep(0.1)
        raise RuntimeError("llama-server did not start")
