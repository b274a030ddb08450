"""The rules of consent as a table: rules × call → allow, ask, deny."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen3_chat.chat import ToolCall
from qwen3_chat.record_copies import replace
from qwen3_chat.tools.consent import ConsentRequest, ConsentRules, Verdict
from qwen3_chat.tools.permissions import (
    MAX_LIMIT_CHARS,
    Permission,
    PermissionScope,
    canonical_arguments,
    host_of,
    is_inside,
    locate_target,
    possible_permissions,
)
from qwen3_chat.tools.tool import Arguments, Caution, Reach, Target, TargetKind, Tool


async def run(arguments: Arguments) -> str:
    return str(arguments)


HARMLESS = Tool("now", "", {"type": "object"}, run, Reach.NOTHING)
REACHING = Tool("fetch", "", {"type": "object"}, run, target=Target("url", TargetKind.URL))
READING = Tool("read_file", "", {"type": "object"}, run, target=Target("path", TargetKind.FILE))
LISTING = Tool("list_files", "", {"type": "object"}, run, target=Target("path", TargetKind.FOLDER))
CALL = ToolCall("fetch", '{"url": "https://example.com/a", "method": "GET"}')
REPAIRED = replace(CALL, is_repaired=True)


def permission(tool: Tool, scope: PermissionScope, value: str = "") -> Permission:
    return Permission(tool.name, tool.definition_hash, scope, value)


def verdict(rules: ConsentRules, tool: Tool, call: ToolCall) -> Verdict:
    return rules.verdict(tool, call, locate_target(tool, call))


def allowing(tool: Tool, scope: PermissionScope, value: str = "") -> ConsentRules:
    return ConsentRules(can_ask=True, permissions=(permission(tool, scope, value),))


NOBODY = ConsentRules()
PERSON = ConsentRules(can_ask=True)
ALL = ConsentRules(allows_all=True)
NAMED = ConsentRules(allowed_names=frozenset({"fetch"}))
TOOL = allowing(REACHING, PermissionScope.TOOL)
EQUAL = allowing(REACHING, PermissionScope.ARGUMENTS, '{"method":"GET","url":"https://example.com/a"}')
HOST = allowing(REACHING, PermissionScope.HOST, "https://example.com")


@pytest.mark.parametrize(
    ("rules", "tool", "call", "expected"),
    [
        (NOBODY, HARMLESS, ToolCall("now", "{}"), Verdict.ALLOW),
        (NOBODY, HARMLESS, ToolCall("now", "{}", is_repaired=True), Verdict.DENY),
        (PERSON, HARMLESS, ToolCall("now", "{}", is_repaired=True), Verdict.ASK),
        (NOBODY, REACHING, CALL, Verdict.DENY),
        (PERSON, REACHING, CALL, Verdict.ASK),
        (ALL, REACHING, CALL, Verdict.ALLOW),
        (ALL, REACHING, REPAIRED, Verdict.DENY),
        (NAMED, REACHING, CALL, Verdict.ALLOW),
        (NAMED, REACHING, REPAIRED, Verdict.DENY),
        (NAMED, READING, ToolCall("read_file", "{}"), Verdict.DENY),
        (TOOL, REACHING, CALL, Verdict.ALLOW),
        (EQUAL, REACHING, CALL, Verdict.ALLOW),
        (HOST, REACHING, CALL, Verdict.ALLOW),
        (replace(HOST, can_ask=False), REACHING, CALL, Verdict.ALLOW),
        (replace(HOST, can_ask=False), REACHING, REPAIRED, Verdict.DENY),
        # a repaired call is a guess: no permission covers it
        (TOOL, REACHING, REPAIRED, Verdict.ASK),
        (EQUAL, REACHING, REPAIRED, Verdict.ASK),
        (HOST, REACHING, REPAIRED, Verdict.ASK),
        # the tool is no longer the one that was allowed
        (TOOL, replace(REACHING, description="Sends the chat."), CALL, Verdict.ASK),
        (EQUAL, replace(REACHING, schema={"type": "object", "properties": {}}), CALL, Verdict.ASK),
        (HOST, replace(REACHING, target=Target("proxy", TargetKind.URL)), CALL, Verdict.ASK),
        (HOST, replace(REACHING, target=None), CALL, Verdict.ASK),
        (TOOL, replace(REACHING, name="mcp:other.fetch"), CALL, Verdict.ASK),
        # a limit of one kind is none of another
        (allowing(READING, PermissionScope.HOST, "/srv"), READING, CALL, Verdict.ASK),
        (allowing(REACHING, PermissionScope.FOLDER, "/srv"), REACHING, CALL, Verdict.ASK),
        (allowing(REACHING, PermissionScope.HOST, ""), REACHING, CALL, Verdict.ASK),
        (allowing(REACHING, PermissionScope.ARGUMENTS, ""), REACHING, CALL, Verdict.ASK),
    ],
)
def test_the_rules_decide(rules: ConsentRules, tool: Tool, call: ToolCall, expected: Verdict) -> None:
    assert verdict(rules, tool, call) is expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"method": "GET", "url": "https://example.com/a"}', Verdict.ALLOW),
        ('{"url":"https:\\u002f/example.com/a","method":"GET"}', Verdict.ALLOW),
        ('{"method": "POST", "url": "https://example.com/a"}', Verdict.ASK),
        ('{"method": "GET", "url": "https://example.com/A"}', Verdict.ASK),
        ('{"method": "GET", "url": "https://example.com/a "}', Verdict.ASK),
        ('{"method": "GET", "url": "https://example.com/a", "body": null}', Verdict.ASK),
        ('{"method": "GET"}', Verdict.ASK),
        ('{"method": "GET", "url": "https://example.com/a", "url": "https://evil.org"}', Verdict.ASK),
    ],
)
def test_equal_arguments_are_equal_as_values_and_nothing_else_is(arguments: str, expected: Verdict) -> None:
    assert verdict(EQUAL, REACHING, ToolCall("fetch", arguments)) is expected


@pytest.mark.parametrize(("left", "right"), [("1", "1.0"), ("1", "true"), ("0", "false"), ('"1"', "1")])
def test_values_of_another_type_are_not_equal(left: str, right: str) -> None:
    assert canonical_arguments(f'{{"n": {left}}}') != canonical_arguments(f'{{"n": {right}}}')


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/",
        "https://example.com/other?q=1#part",
        "https://example.com?q=http://evil.org",
        "HTTPS://EXAMPLE.COM/a",
        "https://example.com:443/a",
        "https://example.com/@evil.org",
        "https://example.com/路径",
    ],
)
def test_a_host_that_is_allowed_covers_its_pages(url: str) -> None:
    assert verdict(HOST, REACHING, ToolCall("fetch", json.dumps({"url": url}))) is Verdict.ALLOW


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com.evil.org/",
        "https://example.comevil.org/",
        "https://evil-example.com/",
        "https://www.example.com/",
        "https://example.com./",
        "https://example.com@evil.org/",
        "https://example.com:pass@evil.org/",
        "https://evil.org@example.com/",  # some programs take the first part for the host
        "https://user:pass@example.com/",
        "https://evil.org\\@example.com/",
        "https://example.com\\.evil.org/",
        "https://example.com\\@evil.org/",
        "https://evil.org#@example.com/",
        "https://evil.org?@example.com/",
        "http://example.com/",
        "https://example.com:8443/",
        "https://example.com:80/",
        "https://example.com:/",
        "https://example.com:443x/",
        "https://example.com:99999999/",
        "https:example.com",
        "https:///example.com",
        "https:/example.com/",
        "//example.com/",
        "example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)//https://example.com/",
        " https://example.com/",
        "https://exa\tmple.com/",
        "https://example.com\n.evil.org/",
        "https://example.com/\nHost: evil.org",
        "https://еxample.com/",  # a Cyrillic letter
        "https://ｅｘａｍｐｌｅ.com/",  # noqa: RUF100 - full width
        "https://example。com/",
        "https://xn--xample-9uf.com/",
        "https://example%2ecom/",
        "https://%65xample.com/",
        "https://[::1]/",
        "https://example.com\u2028.evil.org/",
        "https://example.com\x00.evil.org/",
        "",
        7,
        None,
        ["https://example.com/"],
    ],
)
def test_a_host_that_is_allowed_covers_no_other(url: object) -> None:
    assert verdict(HOST, REACHING, ToolCall("fetch", json.dumps({"url": url}))) is Verdict.ASK


@given(st.text(max_size=40))
def test_whatever_follows_a_host_without_a_slash_is_another_host(rest: str) -> None:
    other = host_of(f"https://example.com{rest}")
    assert other != "https://example.com" or not rest or rest[0] in "/?#:"


@pytest.mark.parametrize("url", ["http://localhost:8080/a", "https://10.0.0.1/a", "https://[::1]/"])
def test_a_plain_address_has_its_host_with_the_port(url: str) -> None:
    assert host_of(url) == (None if "[" in url else url.removesuffix("/a"))


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [
        ("/a/b/c", "/a/b", True),
        ("/a/b", "/a/b", True),
        ("/a/b/", "/a/b", True),
        ("/a/./b//c", "/a/b", True),
        ("/a/b/..c", "/a/b", True),
        ("/a/bc", "/a/b", False),
        ("/a/b.txt", "/a/b", False),
        ("/a", "/a/b", False),
        ("/a/b/../c", "/a/b", False),
        ("/a/b/c/../../d", "/a/b", False),
        ("/A/b/c", "/a/b", False),
        ("/a/B/c", "/a/b", False),
        ("a/b/c", "/a/b", False),
        ("a/b/c", "a/b", False),
        ("../a/b", "/a/b", False),
        ("", "/a/b", False),
        ("/a/b/c", "/", False),  # the root is no limit
        ("/a/b/c", "", False),
        ("/a/b/c", "/a/b/..", False),
        ("~/a/b", "/a/b", False),
    ],
)
def test_a_folder_holds_what_is_below_it(path: str, folder: str, expected: bool) -> None:
    assert is_inside(path, folder) is expected


@given(st.lists(st.sampled_from(["a", "b", "ab", ".", "..", "", "A"]), max_size=6))
def test_no_path_leaves_a_folder_that_holds_it(parts: list[str]) -> None:
    path = "/".join(["/a/b", *parts])
    if is_inside(path, "/a/b"):
        assert os.path.normpath(path).startswith("/a/b")


def test_a_link_out_of_the_folder_is_where_it_leads(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    (tmp_path / "way_in").symlink_to(inside)
    rules = allowing(READING, PermissionScope.FOLDER, os.path.realpath(inside))

    def verdict_of(path: Path | str) -> Verdict:
        return verdict(rules, READING, ToolCall("read_file", json.dumps({"path": str(path)})))

    assert verdict_of(inside / "file") is Verdict.ALLOW
    assert verdict_of(tmp_path / "way_in" / "file") is Verdict.ALLOW
    assert verdict_of(inside / "link" / "file") is Verdict.ASK
    assert verdict_of(f"{inside}/link/../file") is Verdict.ASK  # the parent of what the link leads to
    assert verdict_of(f"{inside}/../outside/file") is Verdict.ASK
    assert verdict_of("~/file") is Verdict.ASK
    assert verdict_of(f"{inside}/\0") is Verdict.ASK
    assert verdict_of("") is Verdict.ASK


@pytest.mark.parametrize(
    ("tool", "arguments", "limits"),
    [
        (HARMLESS, {}, []),
        (
            REACHING,
            {"url": "https://example.com/a"},
            ["", '{"url":"https://example.com/a"}', "https://example.com"],
        ),
        (REACHING, {"url": "https://a@example.com/"}, ["", '{"url":"https://a@example.com/"}']),
        (REACHING, {}, ["", "{}"]),
        (REACHING, {"url": "https://example.com/" + "a" * MAX_LIMIT_CHARS}, ["", "https://example.com"]),
        (READING, {"path": "/nowhere/b/c"}, ["", '{"path":"/nowhere/b/c"}', "/nowhere/b"]),
        (READING, {"path": "/nowhere"}, ["", '{"path":"/nowhere"}']),  # its folder is the root
        (LISTING, {"path": "/nowhere/b"}, ["", '{"path":"/nowhere/b"}', "/nowhere/b"]),
        (REACHING, {"url": f"https://{'a' * 300}.org"}, ["", f'{{"url":"https://{"a" * 300}.org"}}']),
        (LISTING, {"path": "/"}, ["", '{"path":"/"}']),
    ],
)
def test_what_can_be_allowed_with_a_call(tool: Tool, arguments: dict[str, str], limits: list[str]) -> None:
    call = ToolCall(tool.name, json.dumps(arguments))
    permissions = possible_permissions(tool, call, locate_target(tool, call))
    assert [permission.value for permission in permissions] == limits
    assert all(permission.covers(tool, call, locate_target(tool, call)) for permission in permissions)
    assert possible_permissions(tool, replace(call, is_repaired=True), None) == ()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a busy machine is no failure
@given(st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=4), st.data())
def test_a_permission_for_equal_arguments_survives_their_order_and_nothing_else(
    arguments: dict[str, object], data: st.DataObject
) -> None:
    call = ToolCall("fetch", json.dumps(arguments))
    equal = next(
        permission
        for permission in possible_permissions(REACHING, call, None)
        if permission.scope is PermissionScope.ARGUMENTS
    )
    keys = data.draw(st.permutations(list(arguments)))
    shuffled = json.dumps(
        {key: arguments[key] for key in keys}, ensure_ascii=data.draw(st.booleans()), indent=1
    )
    assert equal.covers(REACHING, ToolCall("fetch", shuffled), None)
    key = data.draw(st.text(max_size=5))
    changed = {**arguments, key: [arguments.get(key)]}
    assert not equal.covers(REACHING, ToolCall("fetch", json.dumps(changed)), None)


@pytest.mark.parametrize(
    ("caution", "arguments", "expected"),
    [
        (None, '{"url": "https://example.com/"}', None),
        (Caution.ALL_RIGHTS, '{"code": "1 + 1"}', Caution.ALL_RIGHTS),
        (Caution.UNCHECKED_ADDRESSES, '{"zone": "Asia/Tokyo"}', None),
        (Caution.UNCHECKED_ADDRESSES, '{"a": ["HTTP://10.0.0.1"]}', Caution.UNCHECKED_ADDRESSES),
        (Caution.UNCHECKED_ADDRESSES, '{"a": "file:\\/\\/\\/etc"}', Caution.UNCHECKED_ADDRESSES),
        (Caution.UNCHECKED_ADDRESSES, '{"a": {"b": "gopher://[::1]/"}}', Caution.UNCHECKED_ADDRESSES),
    ],
)
def test_a_foreign_tool_is_cautioned_about_where_a_call_has_an_address(
    caution: Caution | None, arguments: str, expected: Caution | None
) -> None:
    request = ConsentRequest(replace(REACHING, caution=caution), ToolCall("fetch", arguments))
    assert request.caution == expected
