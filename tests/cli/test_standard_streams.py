"""Commands whose streams the caller closed, or whose locale is not UTF-8."""

from __future__ import annotations

import json
import shlex
import subprocess

import pytest

from qwen3_chat.cli.standard_streams import wants_plain_chat
from tests.conftest import WAIT_LIMIT_S
from tests.e2e.conftest import Program, program

__all__ = ["program"]

ALL = "<&- >&- 2>&-"
CLOSED = [
    (("chats",), ">&-"),
    (("models",), ALL),
    (("export", "last"), ">&-"),
    (("ask", "--demo", "--max-tokens", "4", "Hello"), ALL),
    (("ask", "--demo", "--json", "--max-tokens", "4", "Hello"), "<&-"),
    (("--demo",), "<&-"),
    (("--demo",), ">&-"),
    (("--help",), ">&-"),
    (("--bogus",), "2>&-"),
]


def run_in_shell(program: Program, redirections: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = f"exec {shlex.join([*program.command, *arguments])} {redirections}"
    return subprocess.run(
        ["sh", "-c", command],
        stdin=subprocess.DEVNULL,
        env=program.environment,
        capture_output=True,
        text=True,
        timeout=WAIT_LIMIT_S,
        check=False,
    )


@pytest.mark.parametrize(("arguments", "redirections"), CLOSED)
def test_a_closed_stream_gives_no_traceback(
    program: Program, arguments: tuple[str, ...], redirections: str
) -> None:
    done = run_in_shell(program, redirections, *arguments)
    assert "Traceback" not in done.stderr + done.stdout
    assert "nobody foresaw" not in done.stderr
    assert done.returncode in (0, 1, 2)


def test_an_output_that_is_closed_is_one_sentence(program: Program) -> None:
    done = run_in_shell(program, ">&-", "chats", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The output can't be written (Bad file descriptor)")
    assert len(done.stderr.splitlines()) == 1


def test_no_file_gets_the_number_of_a_closed_stream(program: Program) -> None:
    program.run("ask", "--demo", "--max-tokens", "4", "Hello")
    run_in_shell(program, ">&- 2>&- <&-", "ask", "--demo", "--max-tokens", "4", "Hello")
    assert len(json.loads(program.run("chats", "--json").stdout)) == 2


HOSTILE = "\x9b31m\x85\x7f\u202etxt\u2066\u2028\u2029\u200f 天气"


@pytest.mark.parametrize("encoding", ["latin-1", "gbk"])
def test_json_and_exports_are_utf_8_in_any_locale(program: Program, encoding: str) -> None:
    def output(*arguments: str) -> bytes:
        return subprocess.run(
            [*program.command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=program.environment | {"PYTHONIOENCODING": encoding},
            timeout=WAIT_LIMIT_S,
            check=True,
        ).stdout

    program.run("ask", "--demo", "--max-tokens", "4", "天气 é")
    assert json.loads(output("chats", "--json"))[0]["title"] == "天气 é"
    assert "天气 é" in output("export", "last").decode()


def test_no_json_on_a_terminal_steers_it(program: Program) -> None:
    asked = program.run("ask", "--demo", "--jsonl", "--max-tokens", "4", HOSTILE)
    listed = program.run("chats", "--json")
    steering = set(HOSTILE) - set(" 31mtxt天气")
    assert not steering & set(asked.stdout + listed.stdout)
    assert "\\u202e" in asked.stdout
    (chat,) = json.loads(program.run("export", "last", "--format", "json").stdout)["messages"][:1]
    assert chat["content"] == HOSTILE


@pytest.mark.parametrize(
    ("environ", "is_interactive", "is_plain"),
    [
        ({"TERM": "dumb"}, True, True),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "xterm"}, True, False),
        ({}, True, False),
        ({"ACCESSIBLE": "1"}, False, True),
        ({"ACCESSIBLE": "0", "TERM": "dumb"}, True, True),
    ],
)
def test_a_dumb_terminal_gets_plain_lines(
    environ: dict[str, str], is_interactive: bool, is_plain: bool
) -> None:
    assert wants_plain_chat(environ, is_interactive=is_interactive) is is_plain
