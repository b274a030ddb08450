"""MCP servers in the commands: add, list, test, remove; a question that uses a server's tool."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import made_up_mcp_server
from qwen3_chat.cli import run
from tests.e2e.conftest import Program
from tests.e2e.terminal import opened
from tests.mcp.real_servers import web_page

SEEDS = {
    "mcpServers": {
        "time": {"command": "mcp-server-time", "args": ["--local-timezone=Asia/Shanghai"]},
        "fetch": {"command": "mcp-server-fetch", "args": []},
    }
}
"""The example that most documents have, with installed commands in place of `uvx`."""


@dataclass(frozen=True)
class Output:
    """What a command printed, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


class Commands:
    """The commands in this process, with a home of their own: a start of the program takes a second."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._capsys = capsys

    def run(self, *arguments: str) -> Output:
        status = run(arguments)
        return Output(status, *self._capsys.readouterr())


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    monkeypatch.setenv("QWEN3_CHAT_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", None)
    return Commands(tmp_path, capsys)


OWN = (sys.executable, "-S", made_up_mcp_server.__file__)


def test_a_question_uses_the_tool_of_a_server_from_the_file_of_another_program(
    program: Program, tmp_path: Path
) -> None:
    file = tmp_path / "claude_desktop_config.json"
    file.write_text(json.dumps(SEEDS))
    asked = program.run(
        *("ask", "--demo", "--seed", "1", "--no-think", "--json", "--mcp", str(file)),
        *("--tools", "mcp:time.get_current_time", "--allow", "mcp:time", "What time is it in UTC?"),
    )
    assert asked.returncode == 0, asked.stderr
    (call,) = json.loads(asked.stdout)["steps"][0]["tool_calls"]
    assert (call["name"], call["arguments"]) == ("mcp:time.get_current_time", {"timezone": "UTC"})
    assert (call["decision"], call["is_error"]) == ("allowed_by_rule", False)
    assert json.loads(call["result"])["timezone"] == "UTC"
    assert "Starting the MCP server time" in asked.stderr
    assert "mcp-server-time" in asked.stderr


ADDRESS = "http://16843009"
"""An address of one number: the demo model has learnt to copy numbers and words, not addresses."""


def seeds_with_proxy(folder: Path, proxy: str) -> Path:
    """Write the example, its fetch with a proxy that answers for every host, since tests have no network."""
    file = folder / "claude_desktop_config.json"
    file.write_text(json.dumps(SEEDS).replace("[]", json.dumps([f"--proxy-url={proxy}"])))
    return file


@pytest.mark.full
def test_the_demo_model_fetches_a_page_with_both_servers_of_the_example(
    program: Program, tmp_path: Path
) -> None:
    with web_page("Qwen3 is here.") as proxy:
        file = seeds_with_proxy(tmp_path, proxy)
        asked = program.run(
            *("ask", "--demo", "--seed", "1", "--no-think", "--json", "--mcp", str(file), "--allow", "all"),
            *("--tools", "mcp:time.get_current_time,mcp:fetch", f"Get the page {ADDRESS}"),
        )
    assert asked.returncode == 0, asked.stderr
    (call,) = json.loads(asked.stdout)["steps"][0]["tool_calls"]
    assert (call["name"], call["arguments"]) == ("mcp:fetch.fetch", {"url": ADDRESS})
    assert not call["is_error"]
    assert "Qwen3 is here." in call["result"]


def test_a_server_is_added_listed_tested_and_removed(commands: Commands) -> None:
    added = commands.run("mcp", "add", "mine", *OWN, "OldAndHonest")
    assert added.returncode == 0, added.stderr
    assert added.stdout.startswith("Added mine to ")
    before: dict[str, object] = {
        "name": "mine",
        "transport": "stdio",
        "state": "not_started",
        "tools": [],
        "error": None,
    }
    assert json.loads(commands.run("mcp", "list", "--json").stdout) == [before]
    denied = commands.run("mcp", "test", "mine")
    assert denied.returncode == 1
    assert denied.stderr.startswith(
        "The MCP server mine was not started, because you have not allowed it yet."
    )
    tested = commands.run("mcp", "test", "mine", "--yes", "--json")
    assert tested.returncode == 0, tested.stderr
    result = json.loads(tested.stdout)
    assert (result["state"], result["protocol"]) == ("ready", "2025-11-25")
    assert [tool["name"] for tool in result["tools"]] == ["mcp:mine.echo"]
    assert made_up_mcp_server.__file__ in tested.stderr  # what runs was shown
    assert json.loads(commands.run("mcp", "--json").stdout) == [{**before, "tools": ["echo"]}]
    rows = {row["name"]: row for row in json.loads(commands.run("tools", "--json").stdout)}
    assert (rows["mcp:mine"]["source"], rows["mcp:mine"]["state"]) == ("mcp", "not_started")
    assert rows["mcp:mine"]["consent"] == "ask"
    assert rows["mcp:mine"]["schema_tokens"] > 0
    assert rows["mcp:mine"]["permissions"][0]["outdated"] is False
    removed = commands.run("mcp", "remove", "mine")
    assert removed.returncode == 0
    assert json.loads(commands.run("mcp", "list", "--json").stdout) == []
    left = json.loads(commands.run("tools", "--json").stdout)
    assert {row["source"] for row in left} == {"built_in"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("mcp", "add", "a b", "x"), "a b is not a valid name for an MCP server"),
        (("mcp", "add", "x"), "The MCP server x has neither a command nor a url."),
        (("mcp", "add", "x", "y", "--env", "API_KEY=abc"), "The value of API_KEY looks like a secret."),
        (("mcp", "add", "x", "y", "--env", "A"), "A is not of the form NAME=VALUE."),
        (("mcp", "remove", "x"), "There is no MCP server x. Known are: –."),
        (("mcp", "test", "x"), "There is no MCP server x. Known are: –."),
        (("ask", "--demo", "--tools", "mcp:x", "Hi"), "There is no MCP server x. Known are: –."),
    ],
)
def test_wrong_usage_is_one_sentence(commands: Commands, arguments: tuple[str, ...], sentence: str) -> None:
    done = commands.run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


def test_the_app_refuses_servers_that_are_not_there_in_one_sentence(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCESSIBLE", "1")
    unknown = commands.run("--demo", "--tools", "now,mcp:x")
    assert (unknown.returncode, unknown.stderr) == (2, "There is no MCP server x. Known are: –.\n")
    missing = commands.run("--demo", "--mcp", "/no/such/file.json")
    assert missing.returncode == 1
    assert missing.stderr.startswith("The file /no/such/file.json cannot be read:")
    before_command = commands.run("--mcp", "/no/such/file.json", "chats")
    assert before_command.returncode == 2


NOTE = "mcp:mine:made-up://notes/day.md"


def test_a_question_takes_a_resource_and_a_prompt_from_a_server(commands: Commands) -> None:
    assert commands.run("mcp", "add", "mine", *OWN, "Texting").returncode == 0
    ask = ("ask", "--demo", "--seed", "1", "--no-think", "--max-tokens", "8")
    denied = commands.run(*ask, "--file", NOTE, "Read it.")
    assert denied.returncode == 1
    assert "because you have not allowed it yet" in denied.stderr
    prompt = ("--template", "mcp:mine:translate_it")
    for arguments, sentence in (
        ((*prompt,), "The prompt needs a value for language"),
        ((*prompt, "--var", "x=1"), "The prompt has no variable x; it has: language, tone."),
        (("--template", "mcp:mine:other"), "The MCP server mine has no prompt other. It has: translate it."),
        (("--file", "mcp:nobody:x"), "There is no MCP server nobody. Known are: mine."),
    ):
        refused = commands.run(*ask, *arguments, "--allow", "mcp:mine")
        assert refused.returncode != 0
        assert sentence in refused.stderr
    assert json.loads(commands.run("chats", "--json").stdout) == []
    asked = commands.run(
        *ask, *prompt, "--var", "language=French", "--file", NOTE, "--allow", "mcp:mine", "Be brief."
    )
    assert asked.returncode == 0, asked.stderr
    assert "Starting the MCP server mine" in asked.stderr
    stored = json.loads(commands.run("export", "last", "--format", "json").stdout)
    question = stored["messages"][0]["content"]
    assert question.startswith("Translate to French:\n\nBe brief.\n\nmine: ")
    assert "\n```\n# Today\nrain\n```\n" in question


@pytest.mark.full
@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
@pytest.mark.parametrize("variables", [{}, {"ACCESSIBLE": "1"}], ids=["app", "plain"])
def test_the_servers_of_another_programs_file_answer_in_the_app(
    program: Program, tmp_path: Path, variables: dict[str, str]
) -> None:
    with web_page("Qwen3 is here.") as proxy:
        file = seeds_with_proxy(tmp_path, proxy)
        options = ("--demo", "--mcp", str(file), "--tools", "mcp:time.get_current_time,mcp:fetch")
        for name in ("time", "fetch"):
            program.run("mcp", "test", name, "--yes", "--mcp", str(file))
        with opened(program, tmp_path, *options, variables=variables) as terminal:

            def ask(question: str, tool: str, result: str) -> None:
                terminal.type(question)
                terminal.press("Enter")
                terminal.wait_for(tool)
                if variables:
                    terminal.until(lambda screen: screen.rstrip().endswith("deny or edit:"))
                    terminal.type("once")
                    terminal.press("Enter")
                else:
                    terminal.until(lambda screen: "┏" in screen)
                    terminal.press("1")
                terminal.until(lambda screen: result in screen)

            terminal.wait_for("You, thinking on:" if variables else "Thinking")
            ask("What time is it in UTC? /no_think", "mcp:time.get_current_time", '"timezone": "UTC"')
            if variables:
                terminal.until(lambda screen: screen.rstrip().endswith("You, thinking off:"))
            else:
                terminal.wait_for_answer('"timezone": "UTC"')
            ask(f"Get the page {ADDRESS}", "mcp:fetch.fetch", "Qwen3 is here.")


def test_a_server_that_is_reached_by_an_address_is_stored_with_the_places_of_its_secrets(
    commands: Commands,
) -> None:
    url = "https://example.com/mcp"
    added = commands.run("mcp", "add", "web", "--url", url, "--header", "Authorization=keyring:web")
    assert added.returncode == 0, added.stderr
    stored = json.loads((commands.home / "config" / "mcp.json").read_text())
    assert stored == {
        "mcpServers": {"web": {"type": "http", "url": url, "headers": {"Authorization": "keyring:web"}}}
    }
    assert url in commands.run("mcp").stdout
