from __future__ import annotations

from pathlib import Path

from qwen3_chat.engine.llama_build import BuildFolder, trial_environment
from qwen3_chat.engine.worker_process import list_devices


def broken_build(folder: Path) -> BuildFolder:
    """Return builds of which the one in use can't be loaded any more."""
    builds = BuildFolder(folder)
    package = builds.path("vulkan") / "llama_cpp"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import ctypes; ctypes.CDLL('libvulkan-that-is-gone.so.1')")
    builds.choose("vulkan")
    return builds


def logged(log_path: Path, text: str) -> bool:
    return text in log_path.read_text()


async def test_a_build_in_use_that_cannot_be_loaded_any_more_gives_way_to_the_installed_one(
    tmp_path: Path, log_path: Path
) -> None:
    environment = broken_build(tmp_path).environment()
    assert environment is not None
    assert [device.name for device in await list_devices(log_path, environment=environment)] == ["CPU"]
    assert logged(log_path, "libvulkan-that-is-gone.so.1")


async def test_a_trial_of_the_installed_build_does_not_take_the_one_in_use(
    tmp_path: Path, log_path: Path
) -> None:
    environment = trial_environment(None, broken_build(tmp_path).environment() or {})
    assert await list_devices(log_path, environment=environment)
    assert not logged(log_path, "libvulkan-that-is-gone.so.1")
