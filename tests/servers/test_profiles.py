from __future__ import annotations

from pathlib import Path

import pytest

from qwen3_chat.config import read_settings
from qwen3_chat.errors import ConfigError
from qwen3_chat.servers import SecretReference, SecretSource, ServerKind, ServerProfiles, read_profiles

EVERYTHING = """\
theme = "qwen-light"

[servers.gpu-box]
url = "https://gpu-box:8443/v1"
model = "Qwen3-235B-A22B"
kind = "vllm"
key = "keyring:gpu-box"
context = 131072
ca_file = "/etc/ssl/team.pem"
client_certificate = "/etc/ssl/me.pem"
client_key = "/etc/ssl/me.key"
verify = false
proxy = "http://proxy:3128"
fallback = "laptop"
[servers.gpu-box.headers]
X-Team = "blue"
X-Api-Key = "env:TEAM_KEY"

[servers.laptop]
url = "localhost:8080"
"""


def profiles_of(folder: Path, text: str) -> ServerProfiles:
    file = folder / "config.toml"
    file.write_text(text, encoding="utf-8")
    loaded = read_settings(file)
    assert loaded.problems == ()
    return read_profiles(loaded.settings.servers, loaded.make_error)


def test_every_entry_of_a_server_is_read(tmp_path: Path) -> None:
    profiles = profiles_of(tmp_path, EVERYTHING)
    assert profiles.problems == {}
    assert list(profiles.usable) == ["gpu-box", "laptop"]
    box = profiles.get("gpu-box")
    assert box is not None
    assert (box.endpoint.api, box.model, box.kind) == (
        "https://gpu-box:8443/v1",
        "Qwen3-235B-A22B",
        ServerKind.VLLM,
    )
    assert box.key == SecretReference(SecretSource.KEYRING, "gpu-box")
    assert str(box.key) == "keyring:gpu-box"
    assert box.headers == {"X-Team": "blue", "X-Api-Key": SecretReference(SecretSource.ENV, "TEAM_KEY")}
    assert (box.n_ctx, box.verifies_certificate, box.fallback) == (131072, False, "laptop")
    assert (box.ca_file, box.client_certificate) == (Path("/etc/ssl/team.pem"), Path("/etc/ssl/me.pem"))
    assert profiles.get("elsewhere") is None


SERVER = '# mine\n[servers.box]\nurl = "http://box"\n'
MISTAKES = [
    (SERVER + 'ulr = "http://box"', 4, "“servers.box.ulr” is unknown; a server takes url, model, kind"),
    (SERVER + 'kind = "vLLLM"', 4, "“servers.box.kind” is not valid"),
    (SERVER + "context = 12", 4, "“servers.box.context” is not valid"),
    (SERVER + 'key = "sk-secret"', 4, "must say where the secret is"),
    (SERVER + 'headers = {"Authorization" = "sk-secret"}', 4, "must say where the secret is"),
    (SERVER + 'headers = {"X Team" = "blue"}', 4, "is not a header that can be sent"),
    (SERVER + 'headers = {Host = "blue"}', 4, "is not a header that can be sent"),
    (SERVER + 'headers = {X-Team = "blau\\nrot"}', 4, "is not a header that can be sent"),
    (SERVER + 'proxy = "http://me:sk-secret@proxy"', 4, "must say where the secret is"),
    (SERVER + 'proxy = "proxy"', 4, "is not the address of a proxy"),
    (SERVER + 'client_key = "/me.key"', 4, "needs client_certificate beside it"),
    (SERVER + 'fallback = "nobody"', 4, "there is no server “nobody”"),
    (SERVER + 'fallback = "box"', 4, "the fallbacks lead back to “box”"),
    ('[servers.box]\nurl = "ftp://box"', 2, "is not the address of a server"),
    ('[servers.box]\n\nurl = "http://me:sk-secret@box"', 3, "holds a password or key"),
    ('theme = "x"\n[servers.box]\nmodel = "Qwen3-8B"', 2, "“servers.box” lacks a url"),
]


@pytest.mark.parametrize(("text", "line", "sentence"), MISTAKES)
def test_a_mistake_is_told_with_file_and_line_and_without_the_secret(
    tmp_path: Path, text: str, line: int, sentence: str
) -> None:
    profiles = profiles_of(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        profiles.get("box")
    told = str(caught.value)
    assert f"{tmp_path / 'config.toml'}, line {line}: " in told
    assert sentence in told
    assert "sk-secret" not in told
    assert "box" not in profiles.usable


def test_one_server_with_a_mistake_leaves_the_others_in_use(tmp_path: Path) -> None:
    profiles = profiles_of(tmp_path, '[servers.a]\nurl = ""\n[servers.b]\nurl = "http://b"\n')
    assert list(profiles.usable) == ["b"]
    assert list(profiles.problems) == ["a"]


def test_fallbacks_that_go_round_in_a_ring_are_refused(tmp_path: Path) -> None:
    ring = "".join(f'[servers.{a}]\nurl = "http://{a}"\nfallback = "{b}"\n' for a, b in ("ab", "bc", "ca"))
    assert sorted(profiles_of(tmp_path, ring).problems) == ["a", "b", "c"]


def test_a_server_that_is_no_table_is_told(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[servers]\nbox = "http://box"\n', encoding="utf-8")
    (problem,) = read_settings(file).problems
    assert "line 2: “servers.box” is not valid" in str(problem)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("env:TEAM_KEY", "env:TEAM_KEY"),
        (" file:~/keys/team ", "file:~/keys/team"),
        ("keyring:team box", "keyring:team box"),
        ("sk-123", None),
        ("vault:x", None),
        ("env:", None),
    ],
)
def test_a_reference_says_where_a_secret_is(text: str, expected: str | None) -> None:
    secret = SecretReference.parse(text)
    assert (None if secret is None else str(secret)) == expected
