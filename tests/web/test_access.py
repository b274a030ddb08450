from __future__ import annotations

import pytest

from qwen3_chat.record_copies import replace
from qwen3_chat.web.access import Access, Refusal, Refused, Sender

PAGE = Sender(host="127.0.0.1:4000", source="http://127.0.0.1:4000", fetch_site="same-origin", cookie=None)
TYPED_ADDRESS = Sender(host="127.0.0.1:4000", source=None, fetch_site="none", cookie=None)


def key_of(access: Access) -> str:
    return access.link.partition("?key=")[2]


def refusal(access: Access, sender: Sender, *, needs_source: bool = False) -> Refusal | None:
    try:
        access.check(sender, needs_source=needs_source)
    except Refused as refused:
        return refused.refusal
    return None


def entered() -> tuple[Access, Sender]:
    access = Access(4000)
    return access, replace(PAGE, cookie=access.enter(key_of(access), TYPED_ADDRESS))


def test_the_link_gives_the_cookie_once() -> None:
    access, page = entered()
    assert refusal(access, page) is None
    with pytest.raises(Refused) as refused:
        access.enter(key_of(access), TYPED_ADDRESS)
    assert refused.value.refusal is Refusal.LINK


@pytest.mark.parametrize("key", ["", "x", "ключ", "\udcff"])
def test_a_wrong_key_gives_nothing_and_does_not_use_up_the_link(key: str) -> None:
    access = Access(4000)
    with pytest.raises(Refused):
        access.enter(key, TYPED_ADDRESS)
    assert access.enter(key_of(access), TYPED_ADDRESS)


def test_a_name_that_leads_here_gets_no_cookie_even_with_the_key() -> None:
    access = Access(4000)
    for sender in (
        replace(TYPED_ADDRESS, host="evil.example:4000"),
        replace(TYPED_ADDRESS, source="http://evil.example"),
    ):
        with pytest.raises(Refused):
            access.enter(key_of(access), sender)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"cookie": None}, Refusal.NO_COOKIE),
        ({"cookie": ""}, Refusal.NO_COOKIE),
        ({"cookie": "guess"}, Refusal.NO_COOKIE),
        ({"cookie": "\udcffé"}, Refusal.NO_COOKIE),
        ({"host": None}, Refusal.HOST),
        ({"host": "evil.example:4000"}, Refusal.HOST),
        ({"host": "127.0.0.1"}, Refusal.HOST),
        ({"host": "127.0.0.1:4001"}, Refusal.HOST),
        ({"host": "[::1]:4000"}, Refusal.HOST),
        ({"source": "http://evil.example"}, Refusal.SOURCE),
        ({"source": "null"}, Refusal.SOURCE),
        ({"source": "https://127.0.0.1:4000"}, Refusal.SOURCE),
        ({"source": "http://127.0.0.1:4001"}, Refusal.SOURCE),
        ({"source": "http://localhost:4000"}, Refusal.SOURCE),
        ({"fetch_site": "cross-site"}, Refusal.SOURCE),
        ({"fetch_site": "same-site"}, Refusal.SOURCE),
    ],
)
def test_each_header_alone_refuses(change: dict[str, str | None], expected: Refusal) -> None:
    access, page = entered()
    assert refusal(access, replace(page, **change)) is expected


def test_a_socket_tells_its_origin() -> None:
    access, page = entered()
    without = replace(page, source=None)
    assert refusal(access, without) is None
    assert refusal(access, without, needs_source=True) is Refusal.SOURCE
    assert refusal(access, page, needs_source=True) is None


def test_localhost_is_the_same_server_under_its_own_origin() -> None:
    access, page = entered()
    assert refusal(access, replace(page, host="localhost:4000", source="http://localhost:4000")) is None


def test_nothing_of_one_server_fits_another() -> None:
    (first, page), (second, _) = entered(), entered()
    assert first.path != second.path
    assert refusal(second, page) is Refusal.NO_COOKIE
