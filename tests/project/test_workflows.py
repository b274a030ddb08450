from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.project.test_package_metadata import supported_pythons

GITHUB = REPOSITORY / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
CHECKS = (GITHUB / "workflows" / "checks.yml").read_text("utf-8")
RELEASE = (GITHUB / "workflows" / "release.yml").read_text("utf-8")
PRE_COMMIT = (REPOSITORY / ".pre-commit-config.yaml").read_text("utf-8")


def matrix(name: str) -> list[str]:
    """The values of one dimension of the checks' matrix."""
    match = re.search(rf"^ +{name}: \[(.+)\]$", CHECKS, re.MULTILINE)
    assert match
    return [value.strip(' "') for value in match[1].split(",")]


def test_the_checks_run_on_every_python_and_system_that_the_package_declares() -> None:
    pyproject = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    systems = {"Linux": "ubuntu", "MacOS": "macos", "Windows": "windows"}
    declared = {
        systems[text.rpartition(" :: ")[2]]
        for text in pyproject["project"]["classifiers"]
        if text.startswith("Operating System")
    }
    assert matrix("python") == supported_pythons()
    assert {name.removesuffix("-latest") for name in matrix("system")} == declared


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_an_action_is_pinned_by_its_commit_with_the_version_beside_it(path: Path) -> None:
    used = re.findall(r"uses: (\S+)(.*)", path.read_text("utf-8"))
    loose = [
        name
        for name, comment in used
        if not name.startswith("./")
        and not (re.search(r"@[0-9a-f]{40}$", name) and re.fullmatch(r" # v\d+\.\d+\.\d+", comment))
    ]
    assert used
    assert loose == []


def test_an_action_has_the_same_commit_everywhere() -> None:
    pins = [pin for path in WORKFLOWS for pin in re.findall(r"uses: (\S+)@(\S+)", path.read_text("utf-8"))]
    assert len(set(pins)) == len({name for name, _ in pins})


def test_a_release_needs_the_checks_and_no_secret() -> None:
    assert "uses: ./.github/workflows/checks.yml" in RELEASE
    assert "needs: checks" in RELEASE
    assert "needs: build" in RELEASE
    assert "id-token: write" in RELEASE
    assert "attestations: true" in RELEASE
    assert "secrets." not in RELEASE + CHECKS


def test_pre_commit_takes_its_tools_from_the_checkout_and_the_package_index_alone() -> None:
    assert re.findall(r"repo: (.+)", PRE_COMMIT) == ["local"]
    packages = [
        name
        for names in re.findall(r"additional_dependencies: \[(.*)\]", PRE_COMMIT)
        for name in names.split(",")
    ]
    assert packages
    assert [name for name in packages if not re.fullmatch(r"[\w-]+==[\d.]+", name)] == []
    assert "scripts/test --static" in PRE_COMMIT


def test_the_hooks_that_a_workflow_runs_exist() -> None:
    hooks = re.findall(r"^ +(?:- )?id: (\S+)$", PRE_COMMIT, re.MULTILINE)
    run = re.findall(r"pre-commit run --all-files (\S+)", CHECKS)
    assert run
    assert set(run) <= set(hooks)


def test_reports_go_through_the_private_form_and_name_nobody() -> None:
    for name in ("SECURITY.md", "CODE_OF_CONDUCT.md"):
        text = " ".join((REPOSITORY / name).read_text("utf-8").split())
        assert "Report a vulnerability" in text.replace("**", "")
        assert "@" not in text
