from __future__ import annotations

import tomllib
from pathlib import Path

from tests.conftest import REPOSITORY

PACKAGES_OF_LAYERS = {"qwen3_chat", "qwen3_chat.documents", "qwen3_chat.mcp", "qwen3_chat.models"}
"""Their modules stand at different heights, each by its own name; they themselves import nothing."""


def modules() -> set[str]:
    paths = (REPOSITORY / "qwen3_chat").rglob("*.py")
    return {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
        for path in paths
    }


def contracts() -> list[dict[str, object]]:
    pyproject = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    found: list[dict[str, object]] = pyproject["tool"]["importlinter"]["contracts"]
    return found


def named(module: str, names: set[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def test_every_module_has_its_height_in_the_layers() -> None:
    layers = contracts()[0]["layers"]
    assert isinstance(layers, list)
    names = {name.strip() for layer in layers for name in layer.split("|")}
    assert names <= modules()
    assert {module for module in modules() - PACKAGES_OF_LAYERS if not named(module, names)} == set()


def test_a_package_of_layers_imports_nothing() -> None:
    for package in PACKAGES_OF_LAYERS:
        text = Path(REPOSITORY, *package.split("."), "__init__.py").read_text("utf-8")
        assert "import" not in text.replace("from __future__ import annotations", "")


def test_every_module_but_the_worker_s_may_not_import_llama_cpp() -> None:
    sources = contracts()[1]["source_modules"]
    assert isinstance(sources, list)
    names = {*sources, "qwen3_chat.engine.worker", "qwen3_chat.__main__"}
    left = {module for module in modules() - PACKAGES_OF_LAYERS if not named(module, names)}
    assert left == {"qwen3_chat.engine"}  # its own `__init__`, the protocol: a package cannot be named apart
