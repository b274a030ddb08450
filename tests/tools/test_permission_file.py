"""The file of the standing permissions."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError
from qwen3_chat.tools.permission_file import MAX_PERMISSION_FILE_BYTES, MAX_PERMISSIONS, PermissionFile
from qwen3_chat.tools.permissions import MAX_LIMIT_CHARS, Permission, PermissionScope

HASH = "0" * 64
FETCH = Permission("fetch", HASH, PermissionScope.HOST, "https://example.com")
READ = Permission("read_file", HASH, PermissionScope.FOLDER, "/srv/a")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "permissions.json"


def entry(**changes: object) -> dict[str, object]:
    stored = {"tool": "fetch", "definition_hash": HASH, "scope": "host", "value": "https://example.com"}
    return {**stored, **changes}


def test_permissions_are_there_in_the_next_run_in_their_order(path: Path) -> None:
    assert PermissionFile(path).read() == ()
    for permission in (FETCH, READ, FETCH):
        PermissionFile(path).add(permission)
    assert PermissionFile(path).read() == (READ, FETCH)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_only_the_owner_reads_the_file(path: Path) -> None:
    PermissionFile(path).add(FETCH)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_permissions_are_revoked_by_tool_or_all(path: Path) -> None:
    file = PermissionFile(path)
    assert file.revoke("fetch") == file.revoke() == 0
    assert not path.exists()
    file.add(FETCH)
    file.add(READ)
    assert file.revoke("fetch") == 1
    assert file.read() == (READ,)
    file.add(FETCH)
    assert file.revoke() == 2
    assert file.read() == ()


def test_the_oldest_goes_when_there_are_too_many(path: Path) -> None:
    many = [
        Permission("fetch", HASH, PermissionScope.HOST, f"https://{n}.org") for n in range(MAX_PERMISSIONS)
    ]
    stored = [entry(value=permission.value) for permission in many]
    path.parent.mkdir()
    path.write_text(json.dumps({"version": 1, "permissions": stored}))
    PermissionFile(path).add(READ)
    assert PermissionFile(path).read() == (*many[1:], READ)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "\x00" * 100,
        "[" * 100_000,
        '{"version": 2, "permissions": []}',
        '{"version": 1, "permissions": [], "allows_all": true}',
        *(
            json.dumps({"version": 1, "permissions": [entry(**changes)]})
            for changes in (
                {"scope": "tool", "value": "x"},  # none of a whole tool outlives the app
                {"scope": "all"},
                {"value": ""},
                {"value": "a" * (MAX_LIMIT_CHARS + 1)},
                {"tool": ""},
                {"definition_hash": "x"},
                {"chat": 1},
            )
        ),
        json.dumps({"version": 1, "permissions": [entry()] * (MAX_PERMISSIONS + 1)}),
        " " * (MAX_PERMISSION_FILE_BYTES + 1),
    ],
)
def test_a_damaged_file_allows_nothing_and_is_put_aside_by_the_next_change(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(StoreError) as caught:
        PermissionFile(path).read()
    assert caught.value.code is ErrorCode.PERMISSIONS_UNREADABLE
    assert "\n" not in str(caught.value)
    PermissionFile(path).add(FETCH)
    assert PermissionFile(path).read() == (FETCH,)
    assert path.with_name("permissions.json.damaged").read_text() == content


def test_a_folder_in_place_of_the_file_is_a_sentence(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError) as caught:
        PermissionFile(path).read()
    assert caught.value.code is ErrorCode.PERMISSIONS_UNREADABLE


def test_what_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(StoreError) as caught:
        PermissionFile(tmp_path / "data" / "permissions.json").add(FETCH)
    assert caught.value.code is ErrorCode.PERMISSIONS_NOT_SAVED
