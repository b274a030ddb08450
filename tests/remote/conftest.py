"""Real servers on loopback, with the demo model and models made from it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from qwen3_chat.engine.worker.vocab import Vocab
from tests.conftest import REPOSITORY
from tests.e2e.conftest import program
from tests.engine import model_files
from tests.engine.conftest import demo_vocab, tireless_gguf
from tests.engine.model_files import LONG_N_CTX
from tests.remote.scripted_model import write_scripted_model
from unpacked_wheels import NEWEST_LLAMA_CPP

__all__ = ["demo_vocab", "program", "tireless_gguf"]

LLAMA_SERVER = REPOSITORY / "build" / "llama-server"
N_CTX = 2048


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def server(command: list[str], port: int, sign: str) -> Iterator[str]:
    """Run a server and yield its address once its log contains `sign`."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert process.stdout is not None
    log: list[str] = []
    drain = Thread(target=lambda: log.extend(process.stdout or ()), daemon=True)
    try:
        for line in process.stdout:
            log.append(line)
            if sign in line:
                break
        else:
            pytest.fail("".join(log))
        drain.start()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()  # llama-server may hang if it is terminated right after a stop
        process.wait()
        if drain.ident is not None:
            drain.join()
        process.stdout.close()
        assert process.stdin is not None
        process.stdin.close()


@contextmanager
def llama_cpp_server(model: Path, n_ctx: int = N_CTX) -> Iterator[str]:
    """Run the server of llama-cpp-python and yield its address."""
    port = free_port()
    options = ["--model", str(model), "--port", str(port), "--n_ctx", str(n_ctx), "--n_threads", "1"]
    # its warnings are ignored: it is another program
    command = [sys.executable, "-W", "ignore", "-m", "llama_cpp.server", "--host", "127.0.0.1", *options]
    with server(command, port, "Uvicorn running") as url:
        yield url


@pytest.fixture(scope="session")
def llama_cpp_python(demo_gguf: Path) -> Iterator[str]:
    """The address of llama-cpp-python's server with the demo model."""
    with llama_cpp_server(demo_gguf) as url:
        yield url


@pytest.fixture(scope="session")
def scripted_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that calls tools."""
    return write_scripted_model(tmp_path_factory.mktemp("scripted") / "scripted.gguf")


@pytest.fixture(scope="session")
def musing_gguf(demo_gguf: Path, demo_vocab: Vocab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a long context that ends neither a reply nor its thinking by itself."""
    never = [*sorted(demo_vocab.end_ids), demo_vocab.specials["</think>"]]

    def change(data: bytes) -> bytes:
        return model_files.with_number(
            model_files.mute(data, demo_vocab, never), "qwen3.context_length", LONG_N_CTX
        )

    return model_files.make(tmp_path_factory.mktemp("musing") / "musing.gguf", demo_gguf, change)


@contextmanager
def llama_server(model: Path, n_ctx: int = N_CTX) -> Iterator[str]:
    """Run llama.cpp's own server, if it was built, and yield its address."""
    if not LLAMA_SERVER.is_file():
        pytest.skip("needs build/llama-server; scripts/build_llama_server makes it")
    port = free_port()
    options = ["-m", str(model), "-c", str(n_ctx), "-t", "1", "-np", "1", "--jinja", "--slots", "--no-webui"]
    with server([str(LLAMA_SERVER), "--port", str(port), *options], port, "listening on") as url:
        yield url


@contextmanager
def newest_llama_server(model: Path, n_ctx: int = N_CTX) -> Iterator[str]:
    """Run llama.cpp's newest server, if it was fetched, and yield its address."""
    if not NEWEST_LLAMA_CPP.path.is_dir():
        pytest.skip("needs llama.cpp's newest server; scripts/unpacked_wheels.py fetches it")
    port = free_port()
    program = str(REPOSITORY / "scripts" / "unpacked_wheels.py")
    with server(
        [sys.executable, program, str(model), str(port), str(n_ctx)], port, "listening on http"
    ) as url:
        yield url
