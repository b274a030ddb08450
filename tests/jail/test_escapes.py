"""What code in the jail tries in order to get out, as root and as a user without privileges."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qwen3_chat.jail import __main__
from qwen3_chat.jail.jail_settings import JailProblem, JailSettings, jail_problem
from qwen3_chat.jail.jailed_python import JailedPython, RunEnd
from qwen3_chat.jail.landlock import landlock_version, restrict_files
from qwen3_chat.record_copies import replace

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or jail_problem() is not None,
    reason="needs a Linux kernel with Landlock on x86-64",
)

NOBODY = 65534
BECOME_NOBODY = ("/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


def python_for_nobody() -> str | None:
    """Return a Python that nobody may run: this one if possible, with the modules of the tests."""
    if os.geteuid() != 0 or not Path(BECOME_NOBODY[0]).exists():
        return None
    program = f"import sys; open({__main__.__file__!r}); print(sys.version_info >= (3, 11))"
    for python in (sys.executable, "/usr/bin/python3"):
        done = subprocess.run([*BECOME_NOBODY, python, "-c", program], capture_output=True)
        if done.stdout.strip() == b"True":
            return python
    return None


@contextmanager
def settings_for(user: str) -> Iterator[tuple[JailSettings, str]]:
    """A folder, and the Python that runs as the user."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "folder"
        folder.mkdir()
        if user == "this user":
            yield JailSettings(str(folder)), sys.executable
            return
        interpreter = python_for_nobody()
        if interpreter is None:
            pytest.skip("needs root, setpriv, a Python and a checkout for everybody")
        Path(name).chmod(0o755)
        os.chown(folder, NOBODY, NOBODY)
        (folder / ".tmp").mkdir()
        python = Path(name) / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.join([*BECOME_NOBODY, interpreter])} "$@"\n')
        python.chmod(0o755)
        yield JailSettings(str(folder)), str(python)


@pytest.fixture(params=["this user", "nobody"])
async def jail(request: pytest.FixtureRequest) -> AsyncIterator[JailedPython]:
    with settings_for(request.param) as (settings, python):
        jail = JailedPython(replace(settings, run_s=20), python)
        yield jail
        await jail.close()


CTYPES = "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True)\n"
REFUSED_CALL = (
    "result = libc.syscall({call}); number = ctypes.get_errno()\nif result < 0: raise OSError(number, '')"
)


def call(text: str) -> str:
    return CTYPES + REFUSED_CALL.format(call=text)


ESCAPES = {
    # those of the reference
    "read a file of the system": ("open('/etc/passwd').read()", "PermissionError"),
    "read the home folder": ("import os; os.listdir(HOME)", "PermissionError"),
    "read the shadow file": ("open('/etc/shadow').read()", "PermissionError"),
    "write to the folder for temporary files": ("open('/tmp/escaped', 'w')", "PermissionError"),
    "write beside its folder": ("open('../escaped', 'w')", "PermissionError"),
    "read the parent's environment": (
        "import os; open(f'/proc/{os.getppid()}/environ').read()",
        "PermissionError",
    ),
    "kill the parent": ("import os; os.kill(os.getppid(), 9)", "PermissionError"),
    "connect by TCP": ("import socket; socket.create_connection(('127.0.0.1', 80), 1)", "PermissionError"),
    "send by UDP": ("import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "PermissionError"),
    "connect to a Unix socket": ("import socket; socket.socket(socket.AF_UNIX)", "PermissionError"),
    "run a program": ("import subprocess; subprocess.run(['/bin/true'])", "PermissionError"),
    "run a command line": ("import os; assert os.system('true') == 0", "AssertionError"),
    "fork": ("import os; os.fork()", "PermissionError"),
    "use multiprocessing": (
        "import multiprocessing as m; m.get_context('fork').Process(target=print).start()",
        "PermissionError",
    ),
    "become another program": ("import os; os.execv('/bin/true', ['true'])", "PermissionError"),
    "trace the parent": (call("101, 16, os.getppid(), 0, 0"), "PermissionError"),
    "mount": (call("165, b'none', b'.', b'tmpfs', 0, 0"), "PermissionError"),
    "leave for other namespaces": (call("272, 0x10000000"), "PermissionError"),
    "load a program into the kernel": (call("321, 0, 0, 0"), "PermissionError"),
    "use io_uring": (call("425, 8, 0"), "PermissionError"),
    "listen": ("import socket; socket.socket().bind(('127.0.0.1', 0))", "PermissionError"),
    # more
    "change the mode of a file elsewhere": (
        "import os\nbefore = os.stat(OUTSIDE).st_mode; os.chmod(OUTSIDE, 0o777)\n"
        "assert os.stat(OUTSIDE).st_mode != before",
        "AssertionError",
    ),
    "change the time of a file elsewhere": (
        "import os\nos.utime(OUTSIDE, (1, 1)); assert os.stat(OUTSIDE).st_mtime == 1",
        "AssertionError",
    ),
    "change an owner": ("import os; os.chown('.', os.getuid(), os.getgid())", "PermissionError"),
    "shorten a file elsewhere by its name": ("import os; os.truncate(OUTSIDE, 0)", "PermissionError"),
    "shorten what may be read": (
        "import os; os.open(os.__file__, os.O_RDONLY | os.O_TRUNC)",
        "PermissionError",
    ),
    "write to the standard library": ("import os; open(os.__file__, 'a')", "PermissionError"),
    "link to a file elsewhere": ("import os; os.symlink('/etc/passwd', 'link')", "PermissionError"),
    "link hard to a file elsewhere": ("import os; os.link(OUTSIDE, 'hard')", "PermissionError"),
    "move a file in from elsewhere": ("import os; os.rename(OUTSIDE, 'moved')", "PermissionError|OSError"),
    "remove a file elsewhere": ("import os; os.unlink(OUTSIDE)", "PermissionError"),
    "climb by descriptors": (
        "import os; fd = os.open('.', os.O_PATH); os.open('../../etc/passwd', os.O_RDONLY, dir_fd=fd)",
        "PermissionError|FileNotFoundError",
    ),
    "read its own memory map": ("open('/proc/self/maps').read()", "PermissionError"),
    "write memory of the parent": (call("311, os.getppid(), 0, 0, 0, 0, 0"), "PermissionError"),
    "take a descriptor of the parent": (call("434, os.getppid(), 0"), "PermissionError"),
    "open by handle": (call("304, -100, 0, 0"), "PermissionError"),
    "raise its limits": (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "PermissionError|ValueError",
    ),
    "type into a terminal": (call("16, 1, 0x5412, b'x'"), "OSError"),
    "survive its parent": (call("157, 1, 0, 0, 0, 0"), "PermissionError"),
    "leave its session": ("import os; os.setsid()", "PermissionError"),
    "signal all processes": ("import os; os.kill(-1, 15)", "PermissionError"),
    "have the kernel signal the parent": (
        "import fcntl, os; fcntl.fcntl(os.open('own', os.O_CREAT | os.O_RDWR), 8, os.getppid())",
        "PermissionError",
    ),
    "use calls of 32 bits": (call("0x40000000 + 41, 2, 1, 0"), "PermissionError"),
    "use a call that is not known yet": (call("9999"), "OSError: \\[Errno 38\\]"),
    "pass descriptors": (
        "import socket; a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [0])",
        "PermissionError",
    ),
    "send from a pair to an address": (
        "import socket; a, b = socket.socketpair(1, socket.SOCK_DGRAM); a.sendto(b'x', '/run/x')",
        "PermissionError",
    ),
    "make a device": ("import os; os.mknod('device', 0o20600, os.makedev(1, 1))", "PermissionError"),
    "make a pipe with a name": ("import os; os.mkfifo('pipe')", "PermissionError"),
    "change its root": ("import os; os.chroot('.')", "PermissionError"),
    "become somebody else": ("import os; os.setuid(1)", "PermissionError"),
    "keep memory beyond its end": (call("29, 0, 4096, 0o600"), "PermissionError"),
    "hide memory in a file without a name": ("import os; os.memfd_create('x')", "PermissionError"),
    "watch files": (call("294, 0"), "PermissionError"),
    "read the kernel's log": (call("103, 3, 0, 0"), "PermissionError"),
    "find a key of the user": (call("250, 0, -4, 0"), "PermissionError"),
    "find a secret in its environment": ("import os; os.environ['HF_TOKEN']", "KeyError"),
    "import the app": ("import qwen3_chat.config", "ModuleNotFoundError|PermissionError"),
}


@pytest.fixture
def outside() -> Iterator[Path]:
    """A file that everybody may change, but for the jail."""
    with tempfile.NamedTemporaryFile() as file:
        path = Path(file.name)
        path.chmod(0o666)
        path.write_bytes(b"outside")
        yield path
        assert path.read_bytes() == b"outside"
        assert path.stat().st_mode & 0o777 == 0o666
        assert not Path("/tmp/escaped").exists()


async def test_no_escape_succeeds(jail: JailedPython, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    begun = await jail.run(f"OUTSIDE, HOME = {str(outside)!r}, {str(Path.home())!r}")
    assert begun.error == ""
    got_out = {}
    for name, (code, expected) in ESCAPES.items():
        run = await jail.run(code)
        last = run.error.splitlines()[-1] if run.error else ""
        errors = expected.replace("\\", "").split("|")
        if run.end is not RunEnd.DONE or not any(error in last for error in errors):
            got_out[name] = (run.end, last, run.value)
    assert got_out == {}


WORKS = {
    "threads": "from threading import Thread\nt = [Thread(target=out.append, args=(n,)) for n in range(20)]\n"
    "[x.start() for x in t]; [x.join() for x in t]; assert len(out) == 20",
    "asyncio": "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n"
    "    return await asyncio.to_thread(len, 'ab')\n"
    "assert asyncio.run(f()) == 2",
    "folders": "import os, shutil\nos.makedirs('a/b', exist_ok=True)\nopen('a/b/c', 'w').write('c')\n"
    "shutil.copy('a/b/c', 'a/d'); os.rename('a/d', 'd'); shutil.rmtree('a')\n"
    "assert open('d').read() == 'c'",
    "temporary files": "import tempfile\nwith tempfile.TemporaryFile() as f: f.write(b'x')",
    "sqlite": "import sqlite3\nc = sqlite3.connect('x.db')\nc.execute('create table t(a)'); c.commit()",
    "time zones": "import zoneinfo, datetime\ndatetime.datetime.now(zoneinfo.ZoneInfo('Asia/Shanghai'))",
    "a sleep": "import time; time.sleep(0.01)",
    "random numbers": "import secrets; secrets.token_hex()",
    "a module of its own": "open('own.py', 'w').write('x = 7')\nimport own; assert own.x == 7",
    "dataclasses and pickle": "import pickle\nfrom dataclasses import dataclass\n"
    "@dataclass\nclass P:\n    x: int\n"
    "assert pickle.loads(pickle.dumps(P(1))) == P(1)",
    "a signal to itself": "import signal, os\nsignal.signal(signal.SIGUSR1, lambda *a: out.append('s'))\n"
    "os.kill(os.getpid(), signal.SIGUSR1); assert out[-1] == 's'",
    "a zip archive": "import zipfile\nwith zipfile.ZipFile('z.zip', 'w') as z: z.writestr('a.txt', 'x')\n"
    "zipfile.ZipFile('z.zip').extractall('unpacked')",
    "limits": "import resource; resource.getrlimit(resource.RLIMIT_AS)",
}


async def test_ordinary_code_works(jail: JailedPython) -> None:
    await jail.run("out = []")
    failures = {name: run.error for name, code in WORKS.items() if (run := await jail.run(code)).error}
    assert failures == {}


def no_landlock(*arguments: object) -> int:
    return -1


async def test_a_kernel_without_landlock_is_recognised_and_nothing_runs(tmp_path: Path) -> None:
    assert landlock_version(no_landlock) == 0
    assert jail_problem(syscall=no_landlock) is JailProblem.KERNEL
    with pytest.raises(OSError, match="no Landlock"):
        restrict_files(["/"], [], no_landlock)


@pytest.mark.parametrize(
    ("system", "machine", "problem"),
    [
        ("darwin", "arm64", None),
        ("freebsd14", "amd64", JailProblem.SYSTEM),
        ("win32", "AMD64", JailProblem.SYSTEM),
        ("linux", "aarch64", JailProblem.PROCESSOR),
        ("linux", "riscv64", JailProblem.PROCESSOR),
        ("linux", "x86_64", None),
    ],
)
def test_code_is_confined_on_macos_and_on_linux_on_x86_64(
    system: str, machine: str, problem: JailProblem | None
) -> None:
    assert jail_problem(system, machine, lambda *arguments: 1) is problem
