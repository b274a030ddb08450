"""What the package says of itself: its version, its licence, the Pythons that it runs on."""

from __future__ import annotations

import re
import tomllib

from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

import qwen3_chat
from tests.conftest import REPOSITORY

PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
PROJECT = ProjectMetadata(str(REPOSITORY), PluginManager())
CHANGELOG = (REPOSITORY / "CHANGELOG.md").read_text("utf-8")
KINDS_OF_CHANGES = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def supported_pythons() -> list[str]:
    """The versions of Python that the package declares, oldest first."""
    found = [
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", text) for text in PROJECT.core.classifiers
    ]
    return [match[1] for match in found if match]


def test_the_version_stands_in_one_place() -> None:
    assert PROJECT.version == qwen3_chat.__version__
    assert "version" not in PYPROJECT["project"]


def test_the_package_is_under_the_apache_licence_and_carries_its_text() -> None:
    text = (REPOSITORY / "LICENSE").read_text("utf-8")
    assert PROJECT.core.license_expression == "Apache-2.0"
    assert PROJECT.core.license_files == ["LICENSE"]
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_oldest_declared_python_is_the_oldest_that_installs() -> None:
    assert PROJECT.core.requires_python == f">={supported_pythons()[0]}"


def test_the_changelog_keeps_the_common_form() -> None:
    headings = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    assert CHANGELOG.startswith("# Changelog\n")
    assert headings[0] == "[Unreleased]"
    assert [
        text for text in headings[1:] if not re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", text)
    ] == []
    for release in re.split(r"^## .+$", CHANGELOG, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.+)$", release, re.MULTILINE)
        assert kinds == [kind for kind in KINDS_OF_CHANGES if kind in kinds]


def test_the_newest_release_in_the_changelog_is_the_version() -> None:
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", CHANGELOG, re.MULTILINE)
    assert released[:1] in ([], [qwen3_chat.__version__])
