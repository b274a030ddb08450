"""The checks that a change must pass, run one after the other."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from environment import ROOT, Environment, prepare_environment
from speech import t

# a developer's own variables for the app or its downloads must not change the tests
_DROPPED_PREFIXES = (
    "QWEN3_CHAT_",
    "HF_",
    "HUGGING_FACE_",
    "HUGGINGFACE_",
    "MODELSCOPE_",
    "XDG_",
    "LC_",
    "PYTEST_",
)
_DROPPED = {"LANG", "LANGUAGE", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "ALL_PROXY", "all_proxy"}


MAX_PROCESSES = 4
"""The most processes that share the tests: each may hold a model."""


class Check(NamedTuple):
    """A program of the environment with its arguments; `downloads` lets it see the user's own network."""

    name: str
    command: tuple[str, ...]
    downloads: bool = False


def list_checks(pytest_arguments: Sequence[str], *, full: bool, static: bool = False) -> list[Check]:
    """List the checks, quick ones first; pytest comes last so that its closing line stays in sight.

    `static` leaves out whatever runs the program. All tests together are shared among the processors, a file
    to each; with arguments pytest runs in one process, as a debugger needs it.
    """
    static_checks = [
        Check("ruff format", ("ruff", "format", "--check", "--quiet")),
        Check("ruff check", ("ruff", "check", "--quiet")),
        Check("mypy", ("mypy",)),
        Check("lint-imports", ("lint-imports", "--no-logo", "--no-cache")),
    ]
    if static:
        return static_checks
    # an empty expression selects all, over the one in pyproject.toml
    selected = ("-m", "", "--durations=30") if full else ()
    shared = () if pytest_arguments else ("-n", str(count_processes()), "--dist=loadfile")
    programs = [
        Check("llama.cpp", ("python", "scripts/build_llama_server"), downloads=True),
        Check("llama.cpp's newest server", ("python", "scripts/unpacked_wheels.py"), downloads=True),
    ]
    return [
        *static_checks,
        *(programs if full else ()),
        Check("Qwen3's vocabulary", ("python", "scripts/qwen3_vocabulary.py"), downloads=True),
        Check("pytest", ("pytest", *selected, *shared, *pytest_arguments)),
    ]


def count_processes() -> int:
    """Return how many processes share the tests: one for each usable processor, up to a limit."""
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return min(usable or 1, MAX_PROCESSES)


def tests_environment(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the variables for the tests: an empty home, one locale, no network by a library's default."""
    passed = {
        name: value
        for name, value in environ.items()
        if name not in _DROPPED and not name.startswith(_DROPPED_PREFIXES)
    }
    nowhere = "http://127.0.0.1:9"  # the discard port: a request that no test meant fails at once
    return passed | {
        **caches(ROOT, home),
        "HOME": str(home),
        "USERPROFILE": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_STATE_HOME": str(home / "state"),
        "LC_ALL": "C.UTF-8",
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), nowhere),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost,::1"),
    }


def caches(root: Path, home: Path) -> dict[str, str]:
    """Return the variables for the tools' caches: in the home where the checkout can't be written."""
    if os.access(root, os.W_OK):
        return {}
    return {
        "RUFF_CACHE_DIR": str(home / "ruff"),
        "MYPY_CACHE_DIR": str(home / "mypy"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(home / "hypothesis"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
    }


def main(argv: Sequence[str]) -> int:
    """Run all checks up to the first that fails, and return its exit status."""
    if {"-h", "--help"} & set(argv):
        print(t("scripts.test.usage"))
        return 0
    if "--servers" in argv:
        return _try_servers([argument for argument in argv if argument != "--servers"])
    full, static = "--full" in argv, "--static" in argv
    pytest_arguments = [argument for argument in argv if argument not in ("--full", "--static")]
    environment = prepare_environment(dev=True)
    with _temporary_home() as home:
        for check in list_checks(pytest_arguments, full=full, static=static):
            environ = os.environ if check.downloads else tests_environment(os.environ, home)
            status = _run_check(check, environment, environ)
            if status:
                if check.name != "pytest":  # pytest's own last line says it better
                    print(t("scripts.test.failed", name=check.name), flush=True)
                return status
    return 0


def _try_servers(names: Sequence[str]) -> int:
    """Try real servers, which are installed first, and return the exit status."""
    environment = prepare_environment(dev=True)
    modules = os.pathsep.join((str(ROOT), str(ROOT / "scripts")))  # the models are made as in the tests
    check = Check("real servers", ("python", "scripts/try_servers.py", *names), downloads=True)
    return _run_check(check, environment, {**os.environ, "PYTHONPATH": modules})


@contextmanager
def _temporary_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="qwen3-chat-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _run_check(check: Check, environment: Environment, environ: Mapping[str, str]) -> int:
    program, *arguments = check.command
    print(f"── {check.name}", flush=True)
    begin_s = time.monotonic()
    try:
        status = subprocess.run(
            [environment.programs / program, *arguments],
            cwd=environment.root,
            env=environ,
            stdin=subprocess.DEVNULL,
            check=False,
        ).returncode
    except KeyboardInterrupt:
        return 130
    if check.name != "pytest":
        print(f"   {time.monotonic() - begin_s:.1f} s", flush=True)
    return status
