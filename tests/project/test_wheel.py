from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(REPOSITORY)], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


@pytest.fixture(scope="module")
def source_files(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of the source archive, without the folder around them."""
    folder = tmp_path_factory.mktemp("sdist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (built,) = folder.glob("*.tar.gz")
    with tarfile.open(built) as packed:
        return {name.partition("/")[2] for name in packed.getnames()}


@pytest.mark.parametrize("folder", ["themes", "demo"])
def test_the_wheel_carries_the_data_that_the_app_needs(wheel: zipfile.ZipFile, folder: str) -> None:
    suffix = {"themes": ".toml", "demo": ".gguf"}[folder]
    here = REPOSITORY / (folder if folder == "themes" else f"qwen3_chat/{folder}")
    expected = {f"qwen3_chat/{folder}/{path.name}" for path in here.glob(f"*{suffix}")}
    assert expected
    assert expected <= set(wheel.namelist())


def test_the_wheel_carries_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    package = REPOSITORY / "qwen3_chat"
    files = {path.relative_to(REPOSITORY).as_posix() for path in package.rglob("*") if path.is_file()}
    assert {name for name in files if "__pycache__" not in name} <= set(wheel.namelist())


def test_the_wheel_gives_the_command(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "qwen3-chat = qwen3_chat.cli:main" in wheel.read(name).decode()


def test_the_wheel_carries_no_tests_or_scripts(wheel: zipfile.ZipFile) -> None:
    assert {Path(name).parts[0].partition("-")[0] for name in wheel.namelist()} == {"qwen3_chat"}


def test_the_wheel_carries_the_licence(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
    assert wheel.read(name) == (REPOSITORY / "LICENSE").read_bytes()


def test_the_source_archive_carries_every_file_that_git_knows(source_files: set[str]) -> None:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    known = {name for name in listing.stdout.split("\0") if name and (REPOSITORY / name).exists()}
    assert known - source_files == set()
