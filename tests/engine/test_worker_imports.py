"""The modules that the worker loads: its first answer waits for them."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import REPOSITORY

START = {
    "qwen3_chat",
    *(
        f"qwen3_chat.{name}"
        for name in (
            "chat",
            "error_codes",
            "errors",
            "events",
            "log_file",
            "number_range",
            "parent_death",
            "private_file",
            "record_copies",
            "request",
            "sampling",
        )
    ),
    *(
        "qwen3_chat.texts",
        "qwen3_chat.texts.formatting",
        "qwen3_chat.models",
        "qwen3_chat.models.kernel_speeds",
    ),
    "qwen3_chat.engine",
    *(
        f"qwen3_chat.engine.{name}"
        for name in (
            "llama_build",
            "llama_compilation",
            "load_plan",
            "native_libraries",
            "tuning",
            "wire",
            "worker",
        )
    ),
    *(
        f"qwen3_chat.engine.worker.{name}"
        for name in ("__main__", "abort_flag", "client_channel", "template_process", "worker_log")
    ),
}
"""The modules that may be loaded before the environment of llama.cpp is set."""


def loaded_by(module: str) -> set[str]:
    """Return the names of all modules that are loaded once a module is imported."""
    program = f"import sys, {module}; print(*sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return set(process.stdout.split())


def test_before_the_environment_is_set_little_is_loaded_and_nothing_of_llama_cpp() -> None:
    loaded = loaded_by("qwen3_chat.engine.worker.__main__")
    assert not loaded & {"llama_cpp", "psutil", "jinja2", "numpy", "asyncio"}
    assert {name for name in loaded if name.split(".")[0] == "qwen3_chat"} <= START


def test_the_worker_loads_little_besides_itself() -> None:
    loaded = {name for name in loaded_by("qwen3_chat.engine.worker.command_loop") if "qwen3_chat." in name}
    models = {name for name in loaded if name.startswith("qwen3_chat.models")}
    names = [
        "displayed_names",
        "gguf",
        "gguf_names",
        "header_shape",
        "kernel_speeds",
        "observed_runs",
        "shape",
        "template_facts",
    ]
    names.append("weights")
    assert models == {"qwen3_chat.models", *(f"qwen3_chat.models.{name}" for name in names)}
    rooms = {name.split(".")[1] for name in loaded}
    assert not rooms & {"cli", "ui", "plain_chat", "session", "documents", "store", "config", "transcript"}
