from __future__ import annotations

import pytest

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.servers import Endpoint

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
    assert caught.value.code == ErrorCode.ENDPOINT_INVALID


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


@pytest.mark.parametrize(
    ("text", "is_name"),
    [
        ("workstation", True),
        (" gpu_box ", True),
        ("工作站", True),
        ("localhost", False),
        ("gpu-box:8000", False),
        ("gpu-box.lan", False),
        ("http://gpu-box", False),
        ("gpu-box/v1", False),
        ("127.0.0.1", False),
        ("[::1]", False),
    ],
)
def test_one_word_is_the_name_of_a_profile_and_no_address(text: str, is_name: bool) -> None:
    assert Endpoint.is_bare_name(text) is is_name
