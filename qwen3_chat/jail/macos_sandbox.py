"""The confinement of this process by macOS (Seatbelt): its profile, and the call that applies it.

The profile denies everything and then allows what Python needs, so a right that a later macOS knows is denied
without a change here. `prove_confined` finds out whether the system does what the profile says.
"""

from __future__ import annotations

import ctypes
import errno
import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Final

SYSTEM_FOLDERS: Final = (
    *("/usr/lib", "/System/Library", "/Library/Fonts", "/Library/Apple", "/usr/share/zoneinfo"),
    *("/private/var/db/timezone", "/private/var/db/dyld"),
)
"""The folders that may be read beside Python: system libraries, fonts, time zones."""
_SYSTEM_FILES: Final = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/private/etc/localtime")

_RULES: Final = """(version 1)
(deny default)
(allow sysctl-read)
(allow process-info* (target self))
(allow signal (target self))
(allow file-read-metadata {ancestors})
(allow file-read* {readable})
(allow file-map-executable {mapped})
(allow file-read* file-write* (subpath {folder}))
(allow file-write-data (literal "/dev/null"))
"""


def sandbox_profile(readable: Sequence[str], folder: str) -> str:
    """Return the profile for code that may read some folders and write to one; the paths hold no links."""
    folders = (*SYSTEM_FOLDERS, *readable)
    paths = [PurePosixPath(path) for path in (*folders, *_SYSTEM_FILES, folder)]
    ancestors = sorted({str(parent) for path in paths for parent in path.parents})
    return _RULES.format(
        ancestors=" ".join(f"(literal {_quoted(path)})" for path in ancestors),
        readable=" ".join(
            [
                *(f"(subpath {_quoted(path)})" for path in folders),
                *(f"(literal {_quoted(path)})" for path in _SYSTEM_FILES),
            ]
        ),
        mapped=" ".join(f"(subpath {_quoted(path)})" for path in folders),
        folder=_quoted(folder),
    )


def apply_profile(profile: str, library: Any = None) -> None:
    """Confine this process, for good.

    Raises:
        OSError: the system refuses the profile, or knows none.
    """
    if library is None:
        library = ctypes.CDLL("/usr/lib/libSystem.B.dylib")
    reason = ctypes.c_char_p()
    if library.sandbox_init(profile.encode(), ctypes.c_uint64(0), ctypes.byref(reason)) != 0:
        raise OSError(errno.EPERM, (reason.value or b"sandbox_init").decode(errors="replace"))


def _quoted(path: str) -> str:
    """Return a path as a string of the profile."""
    return json.dumps(path, ensure_ascii=False)
