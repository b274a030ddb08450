from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringLocked

from qwen3_chat.engine.remote import ApiKey, key_from_environment, resolve_access, resolve_secret
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.servers import Endpoint, SecretReference, ServerProfile

OWN, DASHSCOPE, OPENAI = "QWEN3_CHAT_API_KEY", "DASHSCOPE_API_KEY", "OPENAI_API_KEY"
KEYS = {OWN: "own", DASHSCOPE: "dash", OPENAI: "open"}
ALIYUN = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"
CHOICES = [
    ("http://gpu:8000", KEYS, "own"),
    ("http://gpu:8000", {DASHSCOPE: "dash", OPENAI: "open"}, None),
    ("http://gpu:8000", {OPENAI: "open", "OPENAI_BASE_URL": "http://gpu:8000/v1"}, "open"),
    ("http://gpu:8000", {OPENAI: "open", "OPENAI_BASE_URL": "http://other:8000/v1"}, None),
    ("https://api.openai.com/v1", {OPENAI: "open"}, "open"),
    ("https://api.openai.com.evil.com/v1", {OPENAI: "open"}, None),
    (ALIYUN, {DASHSCOPE: "dash"}, "dash"),
    (ALIYUN, KEYS, "own"),
    ("https://aliyuncs.com.evil.com", {DASHSCOPE: "dash"}, None),
    ("http://gpu:8000", {OWN: "  \n"}, None),
]


@pytest.mark.parametrize(("url", "environ", "expected"), CHOICES)
def test_a_key_goes_only_where_it_belongs(url: str, environ: dict[str, str], expected: str | None) -> None:
    key = key_from_environment(Endpoint.parse(url), environ)
    assert (key.headers["Authorization"] if key else None) == (f"Bearer {expected}" if expected else None)


@pytest.mark.parametrize("value", ["two words", "schlüssel", "line\nline"])
def test_what_no_header_can_carry_is_no_key(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        key_from_environment(Endpoint.parse("http://gpu"), {OWN: value})
    assert caught.value.code == ErrorCode.API_KEY_INVALID
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "code"), [(0o600, None), (0o400, None), (0o640, ErrorCode.API_KEY_FILE_NOT_PRIVATE)]
)
def test_a_key_file_must_be_closed_to_others(tmp_path: Path, mode: int, code: ErrorCode | None) -> None:
    file = tmp_path / "key"
    file.write_text("sk-file\n")
    file.chmod(mode)
    found = partial(
        key_from_environment, Endpoint.parse("http://gpu"), {"QWEN3_CHAT_API_KEY_FILE": str(file)}
    )
    if code is None:
        loaded = found()
        assert loaded is not None
        assert loaded.headers["Authorization"] == "Bearer sk-file"
        return
    with pytest.raises(UsageError) as caught:
        found()
    assert caught.value.code == code
    assert "sk-file" not in str(caught.value)


def test_a_key_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        key_from_environment(
            Endpoint.parse("http://gpu"), {"QWEN3_CHAT_API_KEY_FILE": str(tmp_path / "none")}
        )
    assert caught.value.code == ErrorCode.API_KEY_FILE_UNREADABLE


def test_a_key_does_not_show_itself() -> None:
    key = ApiKey("sk-secret")
    assert "sk-secret" not in f"{key} {key!r} {[key]}"
    assert key.redact("Incorrect API key: sk-secret") == "Incorrect API key: •••"


class MemoryKeyring(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self, passwords: dict[str, str]) -> None:
        self._passwords = passwords

    def get_password(self, service: str, username: str) -> str | None:
        if username == "locked":
            raise KeyringLocked("The collection is locked. Really.")
        return self._passwords.get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._passwords[f"{service}/{username}"] = password


@pytest.fixture
def a_keyring() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(MemoryKeyring({"qwen3-chat/box": "sk-ring"}))
    yield
    keyring.set_keyring(before)


def secret(text: str) -> SecretReference:
    found = SecretReference.parse(text)
    assert found is not None
    return found


@pytest.mark.usefixtures("a_keyring")
def test_a_key_comes_from_where_the_profile_says(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-file")
    file.chmod(0o600)
    environ = {"TEAM_KEY": "sk-env", OWN: "sk-own"}
    found = {
        place: resolve_secret(secret(place), environ).headers["Authorization"]
        for place in ("env:TEAM_KEY", f"file:{file}", "keyring:box")
    }
    assert list(found.values()) == ["Bearer sk-env", "Bearer sk-file", "Bearer sk-ring"]


NOT_THERE = [
    ("env:NONE", ErrorCode.API_KEY_VARIABLE_MISSING),
    ("file:/nowhere/key", ErrorCode.API_KEY_FILE_UNREADABLE),
    ("file:~nobody-of-that-name/key", ErrorCode.API_KEY_FILE_UNREADABLE),
    ("keyring:other", ErrorCode.API_KEY_NOT_IN_KEYRING),
    ("keyring:locked", ErrorCode.KEYRING_UNUSABLE),
]


@pytest.mark.usefixtures("a_keyring")
@pytest.mark.parametrize(("place", "code"), NOT_THERE)
def test_a_key_that_is_not_where_it_should_be_is_told(place: str, code: ErrorCode) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_secret(secret(place), {})
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


def test_a_system_without_a_keyring_is_told_in_one_sentence() -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]
    try:
        with pytest.raises(UsageError, match="keyring can't be used") as caught:
            resolve_secret(secret("keyring:box"), {})
    finally:
        keyring.set_keyring(before)
    assert "\n" not in str(caught.value)


def test_a_profile_opens_its_server_with_key_headers_and_proxy() -> None:
    profile = ServerProfile(
        "box",
        Endpoint.parse("http://box"),
        key=secret("env:TEAM_KEY"),
        headers={"X-Team": "blue", "X-Pass": secret("env:PASS")},
        proxy=secret("env:PROXY"),
    )
    environ = {"TEAM_KEY": "sk-env", "PASS": "open sesame", "PROXY": "http://me:pw@proxy:1"}
    access = resolve_access(profile, environ)
    assert access.request_headers == {
        "User-Agent": "qwen3-chat",
        "Authorization": "Bearer sk-env",
        "X-Team": "blue",
        "X-Pass": "open sesame",
    }
    assert access.proxy_address == "http://me:pw@proxy:1"
    assert not any(value in repr(access) for value in environ.values())
    quoted = "sk-env, open sesame and http://me:pw@proxy:1 of blue"
    assert access.redact(quoted) == "•••, ••• and ••• of blue"


def test_a_profile_without_a_key_gets_the_one_that_the_environment_has_for_its_address() -> None:
    profile = ServerProfile("ali", Endpoint.parse(ALIYUN))
    assert resolve_access(profile, {DASHSCOPE: "dash"}).sends_secrets
    assert not resolve_access(profile, {OPENAI: "open"}).sends_secrets
