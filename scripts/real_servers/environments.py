"""The environments of the real servers, one for each under `build/servers`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from environment import ROOT
from pip_run import run_pip
from real_servers.recipes import Recipe

SERVERS = ROOT / "build" / "servers"


def prepare_programs(recipe: Recipe) -> Path:
    """Return the folder of a server's programs, installed where they are missing or of other versions.

    Raises:
        PipFailed: the packages could not be installed.
        OSError: the folder can't be written.
    """
    folder = SERVERS / recipe.name
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    if recipe.pins is None:
        return programs
    wanted, stamp = recipe.pins.read_text("utf-8"), folder / "pins.txt"
    if stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return programs
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    with open(SERVERS / f"{recipe.name}.log", "w", encoding="utf-8") as log:
        run_pip(programs / "python", ["install", "-r", str(recipe.pins)], log, os.environ)
        if recipe.left_out:
            run_pip(programs / "python", ["uninstall", "--yes", *recipe.left_out], log, os.environ)
    if recipe.distribution:
        _rename_distribution(folder, recipe.distribution)
    stamp.write_text(wanted, "utf-8")
    return programs


def _rename_distribution(folder: Path, name: str) -> None:
    """Have a package found by a second name: vLLM asks for its own version as that of `vllm`."""
    (found,) = folder.glob(f"lib/python*/site-packages/{name}_*.dist-info")
    version = found.name.removesuffix(".dist-info").rpartition("-")[2]
    twin = found.with_name(f"{name}-{version}+cpu.dist-info")
    if twin.is_dir():
        return
    shutil.copytree(found, twin)
    metadata = twin / "METADATA"
    text = re.sub(r"^Name: .*$", f"Name: {name}", metadata.read_text("utf-8"), count=1, flags=re.MULTILINE)
    text = re.sub(r"^Version: .*$", f"Version: {version}+cpu", text, count=1, flags=re.MULTILINE)
    metadata.write_text(text, "utf-8")
