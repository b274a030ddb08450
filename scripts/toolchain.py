"""The compilers of this machine, and the commands that install them where they are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

FindProgram = Callable[[str], str | None]

_COMPILERS = {
    "C": ("CC", ("cc", "gcc", "clang", "icx")),
    "C++": ("CXX", ("c++", "g++", "clang++", "icpx")),
}

# the first program that exists identifies the system; its commands install the compilers there
_COMPILER_COMMANDS = (
    ("apt-get", ("apt-get update", "apt-get install -y build-essential")),
    ("dnf", ("dnf install -y gcc gcc-c++ make",)),
    ("pacman", ("pacman -S --needed base-devel",)),
    ("zypper", ("zypper install -y gcc gcc-c++ make",)),
    ("apk", ("apk add build-base linux-headers",)),
    ("yum", ("yum install -y gcc gcc-c++ make",)),
)
_WINDOWS_COMMAND = (
    'winget install Microsoft.VisualStudio.2022.BuildTools --override "--wait --passive '
    '--add Microsoft.VisualStudio.Workload.VCTools --includeRecommended"'
)


def missing_compiler(
    environ: Mapping[str, str] = os.environ, which: FindProgram = shutil.which, platform: str = sys.platform
) -> str | None:
    """Return the language without a compiler here, "C" or "C++"; None where there are both."""
    if platform == "darwin" and not _command_line_tools(which):
        return "C++"  # /usr/bin/cc exists there all the same, and only opens a dialogue
    if platform == "win32" and _visual_studio(environ):
        return None
    for language, (variable, names) in _COMPILERS.items():
        program = environ.get(variable, "").split()[:1]
        if not any(which(name) for name in program or names):
            return language
    return None


def compiler_command(
    which: FindProgram = shutil.which, platform: str = sys.platform, *, is_root: bool | None = None
) -> str:
    """Return the command that installs a C and C++ compiler on this system; "" where it is not known."""
    match platform:
        case "darwin":
            return "xcode-select --install"
        case "win32":
            return _WINDOWS_COMMAND
    for program, commands in _COMPILER_COMMANDS:
        if which(program):
            return _as_root(commands, is_root)
    return ""


def venv_command(which: FindProgram = shutil.which, *, is_root: bool | None = None) -> str:
    """Return the command that adds Python's venv where it is a package of its own; "" elsewhere."""
    if not which("apt-get"):
        return ""
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    return _as_root(("apt-get update", f"apt-get install -y {package}"), is_root)


def _as_root(commands: tuple[str, ...], is_root: bool | None) -> str:
    if is_root is None:
        is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return " && ".join(command if is_root else f"sudo {command}" for command in commands)


def _command_line_tools(which: FindProgram) -> bool:
    if not which("xcode-select"):
        return False
    return subprocess.run(["xcode-select", "-p"], capture_output=True, check=False).returncode == 0


def _visual_studio(environ: Mapping[str, str]) -> bool:
    """Ask Visual Studio's own locator, as CMake does: its compiler is not on the path."""
    locator = Path(environ.get("ProgramFiles(x86)", "")) / "Microsoft Visual Studio/Installer/vswhere.exe"
    if not locator.is_file():
        return False
    tools = "Microsoft.VisualStudio.Component.VC.Tools.x86.x64"
    command = [
        str(locator),
        "-latest",
        "-products",
        "*",
        "-requires",
        tools,
        "-property",
        "installationPath",
    ]
    return bool(subprocess.run(command, capture_output=True, check=False).stdout.strip())
