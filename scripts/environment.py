"""The `.venv` of a checkout: made when missing, repaired when broken, reused otherwise."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO

# Imports inside functions are needed only to install: opening the chat again must cost next to nothing.

ROOT = Path(__file__).resolve().parent.parent
COMPILED = "llama-cpp-python"  # the one dependency without ready-made wheels on the usual index
_PACKAGE_TABLES = ("build-system", "project", "tool.hatch")
_DEV_TABLES = ("dependency-groups",)
_INSTALL_LOCK, _COMPILE_LOCK = "install.lock", "compile.lock"

Stamp = dict[str, Any]


class EnvironmentUnavailable(Exception):
    """The environment cannot be made ready; `str()` is the sentence for the user."""

    def __init__(self, sentence: str, status: int = 1) -> None:
        super().__init__(sentence)
        self.status = status


class Environment:
    """The virtual environment in `.venv` under a repository's root.

    Its stamp, `.venv/qwen3-chat.json`, records the packages, options and folder of an installation. Written
    last, it shows an installation that was interrupted. With `pending`, it is complete but for that
    requirement, which is compiled behind the chat while a ready-made library runs the models.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.programs = self.folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.programs / ("python.exe" if os.name == "nt" else "python")
        self.log = self.folder / "install.log"
        self._stamp_file = self.folder / "qwen3-chat.json"

    def is_ready(self, *, dev: bool = False, complete: bool = True) -> bool:
        """Return True if everything that pyproject.toml requires is installed here.

        Unless that has to be `complete`, what is compiled may be pending.
        """
        stamp = self._stamp()
        if not stamp or (complete and "pending" in stamp):
            return False
        return all(stamp.get(name) == value for name, value in self.expected_stamp(stamp, dev=dev).items())

    def prepare(self, *, dev: bool = False, complete: bool = True) -> None:
        """Make or repair the environment where needed.

        Unless it has to be `complete`, what is compiled may be left pending.

        Raises:
            EnvironmentUnavailable: it cannot be done.
        """
        if self.is_ready(dev=dev, complete=complete):
            return
        self.folder.mkdir(exist_ok=True)
        with ExitStack() as locks:
            if complete or self.expected_stamp(self._stamp(), dev=dev)["cmake_args"]:
                locks.enter_context(self._lock(_COMPILE_LOCK, "scripts.waiting_for_compiler"))
            locks.enter_context(self._lock(_INSTALL_LOCK, "scripts.waiting"))
            # checked again: whoever held the lock may have done it
            if not self.is_ready(dev=dev, complete=complete):
                self._install(self._create(), dev=dev, complete=complete)

    @property
    def pending(self) -> str:
        """The requirement that is still to be compiled behind the chat; "" where everything is there."""
        return str(self._stamp().get("pending", ""))

    @contextmanager
    def hold_compiler(self) -> Iterator[bool]:
        """Keep others from compiling; what is yielded is False where another process compiles already."""
        with open(self.folder / _COMPILE_LOCK, "a") as file:
            yield try_lock(file.fileno(), wait=False)

    def has_pending(self) -> bool:
        """Return True if what is pending is installed by now, whoever did that."""
        return self._has_compiled(self._pyproject())

    def finish_pending(self) -> None:
        """Record that what was pending is installed now."""
        with self._lock(_INSTALL_LOCK, "scripts.waiting"):
            self._write_stamp({name: value for name, value in self._stamp().items() if name != "pending"})

    def exec_program(self, program: str, arguments: Sequence[str]) -> NoReturn:
        """Replace this process by a program of the environment."""
        command = [str(self.programs / program), *arguments]
        if os.name == "nt":  # there, exec returns to the shell while the new program still runs
            import subprocess

            sys.exit(subprocess.run(command, check=False).returncode)
        os.execv(command[0], command)

    def _stamp(self) -> Stamp:
        try:
            stamp = json.loads(self._stamp_file.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return stamp if isinstance(stamp, dict) else {}

    def _pyproject(self) -> dict[str, Any]:
        return tomllib.loads((self.root / "pyproject.toml").read_text("utf-8"))

    def expected_stamp(self, stamp: Stamp, *, dev: bool) -> Stamp:
        """Return the stamp of a finished installation, given the present stamp."""
        pyproject = self._pyproject()
        stamp_of_package = {
            "location": str(self.folder.resolve()),
            "python": os.path.realpath(self.python) if self.python.exists() else "",
            "package": fingerprint(pyproject, _PACKAGE_TABLES),
            # a build with options of the user's (CUDA, Vulkan) stays until there are other options
            "cmake_args": os.environ.get("CMAKE_ARGS", stamp.get("cmake_args", "")),
            "fast_cpu": fingerprint_file(self.root / "scripts" / "fast-cpu.txt"),
        }
        return stamp_of_package | ({"dev": fingerprint(pyproject, _DEV_TABLES)} if dev else {})

    @property
    def cmake_args(self) -> str:
        """The user's own options for the compiler of llama.cpp."""
        return str(self._stamp().get("cmake_args", ""))

    @contextmanager
    def _lock(self, name: str, waiting_key: str) -> Iterator[None]:
        """Let one process at a time go on; the others say that they wait."""
        with open(self.folder / name, "a") as file:
            if not try_lock(file.fileno(), wait=False):
                _print_text(waiting_key)
                try_lock(file.fileno(), wait=True)
            yield

    def _create(self) -> Stamp:
        """Create the environment, anew where it cannot be used; return its stamp."""
        import shutil
        import subprocess
        import venv
        from importlib.util import find_spec

        stamp = self._stamp()
        if stamp or self.python.exists():
            key = self._reason_to_remake(stamp)
            if key is None:
                return stamp
            _print_text(key)
        if find_spec("ensurepip") is None:
            raise EnvironmentUnavailable(_missing_venv_text())
        stamp = {"unfinished": True, "cmake_args": stamp.get("cmake_args", "")}
        for entry in self.folder.iterdir():
            if entry.name not in (_INSTALL_LOCK, _COMPILE_LOCK):
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        _print_text("scripts.making", folder=self._relative_path(self.folder))
        self._write_stamp(stamp)
        try:
            venv.create(self.folder, with_pip=True, symlinks=os.name != "nt")
        except subprocess.CalledProcessError:
            raise EnvironmentUnavailable(_missing_venv_text()) from None
        return stamp

    def _reason_to_remake(self, stamp: Stamp) -> str | None:
        import subprocess

        if stamp.get("unfinished"):
            return "scripts.remaking.interrupted"
        if "location" in stamp and stamp["location"] != str(self.folder.resolve()):
            return "scripts.remaking.moved"
        # without pip, without its base Python, or with one that is no longer the version it was made for
        check = [str(self.python), "-c", "import sys, pip; sys.exit(sys.version_info < (3, 11))"]
        try:
            broken = subprocess.run(check, capture_output=True, check=False).returncode
        except OSError:
            broken = True
        return "scripts.remaking.broken" if broken else None

    def _install(self, before: Stamp, *, dev: bool, complete: bool) -> None:
        """Run pip for the package and, for tests, the dev group; write the stamp at the end."""
        import time

        import background_compile
        import fast_library
        from pip_progress import format_clock_time
        from pip_run import PipFailed, error_lines, run_pip

        begin_s = time.monotonic()
        pyproject = self._pyproject()
        after = self.expected_stamp(before, dev=dev)
        cmake_args = after["cmake_args"]
        has_other_options = cmake_args != before.get("cmake_args", "")
        compiles = has_other_options or not self._has_compiled(pyproject)
        environ = {**os.environ, "CMAKE_ARGS": cmake_args}
        is_pending = compiles and not (complete or cmake_args or has_other_options)
        self._write_stamp({"unfinished": True, "cmake_args": before.get("cmake_args", "")})
        try:
            with open(self.log, "w", encoding="utf-8") as log:
                if is_pending:
                    _print_text("scripts.installing_first", log=self._relative_path(self.log))
                    is_pending = self._install_without_compiling(pyproject, log, environ)
                if not is_pending:
                    if compiles:
                        self._require_compiler(pyproject, log)
                    _print_text(
                        "scripts.compiling_first" if compiles else "scripts.installing",
                        log=self._relative_path(self.log),
                    )
                    if compiles and (cmake_args or has_other_options):
                        # pip's cache ignores these options and would return a build with others
                        options = [
                            "--no-cache-dir",
                            "--force-reinstall",
                            "--no-deps",
                            "--no-binary",
                            COMPILED,
                        ]
                        requirement = compiled_requirement(pyproject)
                        run_pip(self.python, ["install", *options, requirement], log, environ)
                    tools = pyproject["dependency-groups"]["dev"] if dev else []
                    run_pip(self.python, ["install", "--editable", str(self.root), *tools], log, environ)
                    if fast_library.is_wanted():  # not there for every machine
                        fast_library.install_ready_made(self.python, log, environ)
        except PipFailed as failure:
            # the installation before still works: pip changes nothing when it cannot get or build something
            self._write_stamp({name: value for name, value in before.items() if name != "unfinished"})
            print(*(f"  {line}" for line in error_lines(failure.lines)), sep="\n", file=sys.stderr)
            raise EnvironmentUnavailable(_text(failure.key, log=self._relative_path(self.log))) from None
        dev_stamp = {} if dev else {name: value for name, value in before.items() if name == "dev"}
        pending_stamp = {"pending": compiled_requirement(pyproject)} if is_pending else {}
        if not is_pending:
            background_compile.forget(self)
        self._write_stamp(after | dev_stamp | pending_stamp)
        _print_text("scripts.ready", duration=format_clock_time(time.monotonic() - begin_s))

    def _install_without_compiling(
        self, pyproject: dict[str, Any], log: TextIO, environ: Mapping[str, str]
    ) -> bool:
        """Install all but what is compiled, where a ready-made library can run models until that is there.

        Return False where there is none for this platform, or where it does not run on this processor.
        """
        import fast_library
        from pip_run import run_pip

        if not fast_library.is_wanted():
            return False
        others = [item for item in pyproject["project"]["dependencies"] if not item.startswith(COMPILED)]
        needs = fast_library.requirements(pyproject)
        # what is not imported at once is compiled to byte code behind the chat
        run_pip(self.python, ["install", "--no-compile", *others, *needs], log, environ)
        if not fast_library.install_ready_made(self.python, log, environ):
            return False
        run_pip(self.python, ["install", "--no-deps", "--editable", str(self.root)], log, environ)
        if fast_library.runs_ready_made(self.python, log):
            return True
        _print_text("scripts.fast_library_refused")
        return False

    def _has_compiled(self, pyproject: dict[str, Any]) -> bool:
        """Return True if the pinned llama-cpp-python is installed."""
        version = compiled_requirement(pyproject).rpartition("==")[2]
        folder = f"{COMPILED.replace('-', '_')}-{version}.dist-info"
        return any(self.folder.glob(f"**/site-packages/{folder}/RECORD"))

    def _require_compiler(self, pyproject: dict[str, Any], log: Any) -> None:
        """Require a compiler where llama.cpp has to be compiled.

        Raises:
            EnvironmentUnavailable: there is none.
        """
        from pip_run import PipFailed, run_pip
        from toolchain import compiler_command, missing_compiler

        language = missing_compiler()
        if language is None:
            return
        dry_run = ["install", "--dry-run", "--no-deps", "--ignore-installed", "--only-binary", ":all:"]
        try:  # the user's own index may have a wheel
            run_pip(
                self.python, [*dry_run, "--retries", "0", compiled_requirement(pyproject)], log, os.environ
            )
        except PipFailed:
            self._write_stamp({})
            command = compiler_command()
            key = "scripts.no_compiler" if command else "scripts.no_compiler_no_command"
            raise EnvironmentUnavailable(_text(key, language=language, command=command)) from None

    def _write_stamp(self, stamp: Stamp) -> None:
        temporary = self._stamp_file.with_suffix(".new")
        temporary.write_text(json.dumps(stamp, indent=1), "utf-8")
        temporary.replace(self._stamp_file)

    def _relative_path(self, path: Path) -> str:
        return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def prepare_environment(*, dev: bool = False, complete: bool = True) -> Environment:
    """Make this checkout's environment ready and return it; exit with a sentence where that fails."""
    environment = Environment()
    try:
        environment.prepare(dev=dev, complete=complete)
    except EnvironmentUnavailable as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.status)
    except KeyboardInterrupt:
        _print_text("scripts.interrupted")
        sys.exit(130)
    except OSError as error:  # a full disk, a folder that may not be written
        print(_text("scripts.failed.system", reason=str(error)), file=sys.stderr)
        sys.exit(1)
    return environment


def fingerprint(pyproject: dict[str, Any], tables: Sequence[str]) -> str:
    """Return a hash of some tables of a parsed pyproject.toml; comments and layout do not count."""
    chosen = []
    for path in tables:
        table: Any = pyproject
        for name in path.split("."):
            table = table.get(name, {})
        chosen.append(table)
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:16]


def fingerprint_file(path: Path) -> str:
    """Return a hash of a file, "" where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""


def compiled_requirement(pyproject: dict[str, Any]) -> str:
    """Return the requirement of the dependency that is compiled."""
    return next(str(item) for item in pyproject["project"]["dependencies"] if str(item).startswith(COMPILED))


def try_lock(descriptor: int, *, wait: bool) -> bool:
    """Lock a file for this process alone; return False if another one has it and there is no waiting."""
    if sys.platform == "win32":
        import msvcrt
        import time

        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            except OSError:
                if not wait:
                    return False
                time.sleep(1)
            else:
                return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: there is nothing to wait for
    return True


def _missing_venv_text() -> str:
    from toolchain import venv_command

    command = venv_command()
    return _text("scripts.no_venv" if command else "scripts.no_venv_no_command", command=command)


def _text(key: str, **values: object) -> str:
    from speech import t

    return t(key, **values)


def _print_text(key: str, **values: object) -> None:
    print(_text(key, **values), file=sys.stderr, flush=True)
