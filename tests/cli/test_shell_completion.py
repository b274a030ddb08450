"""Tab in bash, zsh, fish and PowerShell: the names of models, servers, chats, tools and templates."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qwen3_chat.cli.commands import run_command
from qwen3_chat.cli.stored_chats import import_file

SETTINGS = """
[servers.box]
url = "http://192.0.2.7:8000"
[servers."two words"]
url = "http://192.0.2.8:8000"
"""
SERVERS = {"mcpServers": {"time": {"command": "true"}, "files": {"command": "true"}}}
EVIL = "Say \\\"; \\$(touch evil) `touch evil` ' \\' \n"
Tab = Callable[..., list[str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with two chats, two servers of models and two of tools, none of them asked for anything."""
    home = tmp_path / "home"
    (home / "config").mkdir(parents=True)
    monkeypatch.setenv("QWEN3_CHAT_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    (home / "config" / "config.toml").write_text(SETTINGS, "utf-8")
    (home / "config" / "mcp.json").write_text(json.dumps(SERVERS), "utf-8")
    chats = [[{"role": "user", "content": text}] for text in ("草莓, please", EVIL)]
    lines = "".join(f"{json.dumps({'messages': messages})}\n" for messages in chats)
    (tmp_path / "chats.jsonl").write_text(lines, "utf-8")
    import_file(tmp_path / "chats.jsonl", as_json=True)
    return home


@pytest.fixture
def tab(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tab:
    """A function that returns what a shell gets for the words up to the cursor."""

    def complete(*words: str, shell: str = "bash") -> list[str]:
        monkeypatch.setenv("_QWEN3_CHAT_COMPLETE", f"complete_{shell}")
        if shell == "bash":
            monkeypatch.setenv("COMP_WORDS", "\n".join(("qwen3-chat", *words)))
            monkeypatch.setenv("COMP_CWORD", str(len(words)))
        else:
            monkeypatch.setenv("_TYPER_COMPLETE_ARGS", " ".join(("qwen3-chat", *words)))
            monkeypatch.setenv("_TYPER_COMPLETE_WORD_TO_COMPLETE", words[-1])
            monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        capsys.readouterr()
        with pytest.raises(SystemExit):
            run_command([])
        output = capsys.readouterr()
        assert output.err == ""
        return [line for line in output.out.splitlines() if line]

    return complete


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("ask", "--model", ""), ["demo"]),
        (("--endpoint", "b"), ["box"]),
        (("ask", "--endpoint", ""), ["box"]),
        (("ask", "--server", "llama-s"), ["llama-server"]),
        (("ask", "--chat", ""), ["last", "2", "1"]),
        (("export", "a"), ["all"]),
        (("export", "1", "--format", "h"), ["html"]),
        (("ask", "--tools", "ca"), ["calculator"]),
        (("ask", "--tools", "now,ca"), ["now,calculator"]),
        (("ask", "--allow", "mcp", ":", "t"), ["time"]),
        (("ask", "--tools", "now,mcp", ":"), ["time", "files"]),
        (("mcp", "test", ""), ["time", "files"]),
        (("mcp", "remove", "f"), ["files"]),
        (("tools", "revoke", ""), ["all"]),
        (("ask", "--template", "Br"), ["Brief"]),
        (("ask", "--lang", "=", "z"), ["zh"]),
        (("pull", "8B", ":", "Q4"), ["Q4_K_M"]),
        (("pull", "0.6B", ":", "Q8"), ["Q8_0"]),
        (("exp",), ["export"]),
        (("ask", "--schem"), ["--schema"]),
        (("ask", ""), []),
    ],
    ids=lambda value: " ".join(value),
)
def test_names_are_offered(tab: Tab, words: tuple[str, ...], offered: list[str]) -> None:
    assert tab(*words) == offered


def test_every_shell_gets_its_form_and_no_title_can_run_anything(tab: Tab) -> None:
    title = "Say touch evil touch evil"
    assert tab("ask", "--chat", "2", shell="fish") == [f"2\t{title}"]
    assert tab("ask", "--chat", "2", shell="powershell") == [f"2:::{title}"]
    assert tab("ask", "--chat", "2", shell="zsh") == [f"""_arguments '*: :(("2":"{title}"))'"""]
    assert tab("ask", "--chat", "1", shell="zsh") == ["""_arguments '*: :(("1":"草莓, please"))'"""]


def test_without_a_home_and_with_a_damaged_one_nothing_is_said(tab: Tab, home: Path) -> None:
    (home / "config" / "mcp.json").write_text("{", "utf-8")
    for chats in home.rglob("*.db"):
        chats.write_bytes(b"nonsense" * 1000)
    assert tab("mcp", "test", "") == []
    assert tab("ask", "--chat", "") == ["last"]
    shutil.rmtree(home)
    assert tab("ask", "--chat", "") == ["last"]
    assert not home.exists()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_itself_completes(home: Path, tmp_path: Path) -> None:
    program = tmp_path / "qwen3-chat"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m qwen3_chat "$@"\n', "utf-8")
    program.chmod(0o755)
    script = (
        'eval "$(./qwen3-chat --show-completion bash)"\n'
        "COMP_WORDS=(./qwen3-chat ask --chat '') COMP_CWORD=3\n"
        "_qwen3_chat_completion ./qwen3-chat\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["last", "2", "1"]
    assert not (tmp_path / "evil").exists()
