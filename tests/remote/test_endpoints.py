from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from qwen3_chat.engine.remote import ApiKey, Endpoint, key_for
from qwen3_chat.errors import UsageError

ADDRESSES = {
    "localhost:8000": ("http://localhost:8000", "http://localhost:8000/v1"),
    "http://gpu:8000/": ("http://gpu:8000", "http://gpu:8000/v1"),
    "http://gpu:8000/v1/": ("http://gpu:8000", "http://gpu:8000/v1"),
    "http://gpu:8000/v1/chat/completions": ("http://gpu:8000", "http://gpu:8000/v1"),
    "http://gpu:11434/api/chat": ("http://gpu:11434", "http://gpu:11434/v1"),
    "https://host/team/v1": ("https://host/team", "https://host/team/v1"),
    "https://host/team": ("https://host/team", "https://host/team/v1"),
    "https://ark.example.com/api/v3": ("https://ark.example.com/api", "https://ark.example.com/api/v3"),
    "[::1]:8000": ("http://[::1]:8000", "http://[::1]:8000/v1"),
    "https://dashscope.aliyuncs.com/compatible-mode/v1": (
        "https://dashscope.aliyuncs.com/compatible-mode",
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
    ),
}


@pytest.mark.parametrize(("text", "expected"), ADDRESSES.items())
def test_an_address_is_read_as_people_write_it(text: str, expected: tuple[str, str]) -> None:
    endpoint = Endpoint.parse(text)
    assert (endpoint.root, endpoint.api) == expected


@pytest.mark.parametrize(
    "text",
    ["", "http://", "ftp://host", "http://host:port", "http://a b", "http://host:99999", "file:///etc"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Endpoint.parse(text)
    assert caught.value.key == "remote.bad_url"


@pytest.mark.parametrize(
    "text", ["http://me:sk-secret@host", "http://host/v1?key=sk-secret", "sk-secret@host"]
)
def test_a_key_in_the_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Endpoint.parse(text)
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:1", True),
        ("127.1.2.3", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("localhost.evil.com", False),
    ],
)
def test_loopback_is_recognised(text: str, expected: bool) -> None:
    assert Endpoint.parse(text).is_loopback is expected


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
    key = key_for(Endpoint.parse(url), environ)
    assert (key.headers["Authorization"] if key else None) == (f"Bearer {expected}" if expected else None)


@pytest.mark.parametrize("value", ["two words", "schlüssel", "line\nline"])
def test_what_no_header_can_carry_is_no_key(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        key_for(Endpoint.parse("http://gpu"), {OWN: value})
    assert caught.value.key == "remote.bad_key"
    assert value not in str(caught.value)


@pytest.mark.parametrize(("mode", "key"), [(0o600, None), (0o400, None), (0o640, "remote.key_file_open")])
def test_a_key_file_must_be_closed_to_others(tmp_path: Path, mode: int, key: str | None) -> None:
    file = tmp_path / "key"
    file.write_text("sk-file\n")
    file.chmod(mode)
    found = partial(key_for, Endpoint.parse("http://gpu"), {"QWEN3_CHAT_API_KEY_FILE": str(file)})
    if key is None:
        loaded = found()
        assert loaded is not None
        assert loaded.headers["Authorization"] == "Bearer sk-file"
        return
    with pytest.raises(UsageError) as caught:
        found()
    assert caught.value.key == key
    assert "sk-file" not in str(caught.value)


def test_a_key_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        key_for(Endpoint.parse("http://gpu"), {"QWEN3_CHAT_API_KEY_FILE": str(tmp_path / "none")})
    assert caught.value.key == "remote.key_file_unreadable"


def test_a_key_does_not_show_itself() -> None:
    key = ApiKey("sk-secret")
    assert "sk-secret" not in f"{key} {key!r} {[key]}"
    assert key.removed_from("Incorrect API key: sk-secret") == "Incorrect API key: •••"
