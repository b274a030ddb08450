"""The entry point of the process: `python -m qwen3_chat.jail SETTINGS`, requests on stdin.

It gives up everything that the code does not need before it reads the first request, and ends if the kernel
refuses any of it. `SETTINGS` is a JSON object with the fields of `JailSettings`.
"""

from __future__ import annotations

import ctypes
import json
import os
import site
import struct
import sys
import sysconfig
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from qwen3_chat.jail.code_runner import serve_requests
from qwen3_chat.jail.jail_settings import REFUSED_STATUS, JailSettings
from qwen3_chat.jail.landlock import restrict_files, system_call
from qwen3_chat.jail.syscall_filter import filter_program, give_up_new_privileges, install_filter
from qwen3_chat.parent_death import die_with_parent
from qwen3_chat.process_limits import set_limit

_SYSTEM_FILES: Final = (
    *("/usr/lib", "/usr/lib64", "/usr/lib32", "/lib", "/lib64", "/usr/share/zoneinfo", "/usr/share/fonts"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/fonts", "/dev/urandom", "/dev/zero"),
)
"""The files that may be read beside Python: shared libraries, time zones, fonts."""
_WRITABLE_DEVICES: Final = ("/dev/null",)

_CAPSET: Final = 126
_CAPABILITY_VERSION: Final = 0x20080522
_CAP_DAC_OVERRIDE: Final = 1 << 1
"""The one capability that stays: root's right to its files, within what Landlock leaves."""


def main(arguments: Sequence[str]) -> None:
    """Give up rights, then run code until stdin is closed."""
    die_with_parent()
    os.environ.pop("PYTHONPATH", None)
    settings = JailSettings(**json.loads(arguments[0]))
    requests, channel = _take_channels()
    os.chdir(settings.folder)
    packages = _package_folders()
    sys.path[:] = [*packages, settings.folder]
    try:
        _limit(settings)
        if settings.is_confined:
            _confine(settings.folder, packages)
    except OSError:
        os._exit(REFUSED_STATUS)
    with os.fdopen(requests, "rb") as reader:
        serve_requests(reader, channel)
    os._exit(0)  # nothing of what the code has left is tidied up


def _take_channels() -> tuple[int, int]:
    """Return descriptors for requests and answers; what the code reads and prints itself goes nowhere."""
    requests, channel = os.dup(0), os.dup(1)
    try:
        null = os.open(os.devnull, os.O_RDWR)
        ends = {0: null, 1: null, 2: null}
    except OSError:  # closed to this user on some machines: pipes without their other ends
        (source, unused_writer), (unused_reader, drain) = os.pipe(), os.pipe()
        os.close(unused_writer)
        os.close(unused_reader)
        ends = {0: source, 1: drain, 2: drain}
    for standard, end in ends.items():
        os.dup2(end, standard)
    for end in set(ends.values()):
        os.close(end)
    return requests, channel


def _package_folders() -> list[str]:
    """Return the folders of the standard library and of installed packages; nothing else may be imported."""
    paths = sysconfig.get_paths()
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library = Path(sys.base_prefix, sys.platlibdir, version)  # that of a virtual environment's own Python
    folders = [Path(paths["stdlib"]), Path(paths["platstdlib"]), library]
    folders += [folder / "lib-dynload" for folder in folders]
    folders += map(Path, site.getsitepackages())
    if site.ENABLE_USER_SITE:
        folders.append(Path(site.getusersitepackages()))
    return list(dict.fromkeys(str(folder) for folder in folders if folder.is_dir()))


def _limit(settings: JailSettings) -> None:
    set_limit("RLIMIT_CORE", 0)
    set_limit("RLIMIT_CPU", settings.processor_s)
    set_limit("RLIMIT_FSIZE", settings.file_bytes)
    set_limit("RLIMIT_NOFILE", settings.open_files)
    set_limit("RLIMIT_AS", settings.memory_bytes)
    if hasattr(os, "nice"):
        os.nice(settings.niceness)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # where memory runs out, this process ends first


def _confine(folder: str, packages: Sequence[str]) -> None:
    """Give up all but what the code needs, for good.

    Raises:
        OSError: the kernel refuses.
    """
    give_up_new_privileges()
    restrict_files((*_SYSTEM_FILES, *packages), (folder, *_WRITABLE_DEVICES))
    _drop_capabilities()
    install_filter(filter_program(os.getpid()))


def _drop_capabilities() -> None:
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    held = _CAP_DAC_OVERRIDE if os.geteuid() == 0 else 0
    data = struct.pack("=6I", held, held, 0, 0, 0, 0)
    if system_call(_CAPSET, ctypes.c_char_p(header), ctypes.c_char_p(data)) < 0:
        raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    main(sys.argv[1:])
