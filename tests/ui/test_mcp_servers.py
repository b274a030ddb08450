"""MCP servers in the chat: the question before one starts, its tools, its failures."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from qwen3_chat.chat import StopReason, ToolCall
from qwen3_chat.documents.attachments import Attachment
from qwen3_chat.events import AnswerDelta, ToolCallRequested
from qwen3_chat.mcp.forms import (
    FieldKind,
    FormAction,
    FormAnswer,
    FormChoice,
    FormField,
    FormRequested,
    FormValue,
)
from qwen3_chat.mcp.mcp_tools import McpTools
from qwen3_chat.mcp.server_config import McpServer, McpServers, Transport, read_servers
from qwen3_chat.mcp.server_messages import (
    CallProgressed,
    CallTool,
    PromptArgument,
    ServerPrompt,
    ServerResource,
)
from qwen3_chat.mcp.server_status import McpTrust
from qwen3_chat.mcp.tool_pins import PinFile
from qwen3_chat.session import TurnOptions
from qwen3_chat.tools.built_in_tools import Toolbox
from qwen3_chat.tools.permission_file import PermissionFile
from tests.e2e.test_mcp import SEEDS
from tests.fakes import FakeEngine, Step, finished
from tests.harness import Harness, open_app
from tests.mcp.real_servers import web_page
from tests.mcp.test_trust import FakeProcess, tool_of

ANSWER = (AnswerDelta("That is it.", 3), finished())


def calling(name: str, arguments: str) -> Sequence[Step]:
    return (ToolCallRequested(ToolCall(name, arguments)), finished(StopReason.TOOL_CALLS))


@asynccontextmanager
async def chat_with(
    folder: Path, servers: McpServers, engine: FakeEngine, process: FakeProcess | None = None
) -> AsyncIterator[Harness]:
    """Open the app in a chat with the tools of all servers; without a process, with the real one."""
    permissions, pins = PermissionFile(folder / "permissions.json"), PinFile(folder / "pins.json")
    tools = McpTools(lambda: servers, folder / "mcp.log", folder, os.environ, McpTrust(permissions, pins))
    if process is not None:
        tools._process, process._on_news = process, tools._on_news
        tools._forms._send = process.answer_form
    options = TurnOptions(tools=tuple(f"mcp:{name}" for name in servers.names))
    async with open_app(folder, engine, options=options, toolbox=Toolbox(source=tools)) as app:
        consent = app.screen.consent
        tools.set_trust(McpTrust(permissions, pins, consent.ask, fill=consent.fill_form))
        try:
            yield app
        finally:
            await tools.close()


FAKE = McpServers({"web": McpServer("web", Transport.STDIO, "/bin/sh", ("-c", "serve"))})


async def test_a_server_is_asked_about_once_and_its_tool_for_each_call(tmp_path: Path) -> None:
    engine = FakeEngine(calling("web-echo", '{"text": "hi"}'), ANSWER, ANSWER)
    process = FakeProcess()
    async with chat_with(tmp_path, FAKE, engine, process) as app:
        await app.say("Say hi.")
        await app.sees("Start the MCP server “web”?")
        assert app.shows('command: "/bin/sh"')
        await app.answers("Start the MCP server “web”?", "3")
        await app.answers("Run mcp:web.echo?", "1")
        await app.sees("That is it.")
        await app.until(lambda: not app.screen.is_answering)
        assert app.shows("mcp:web.echo → done")
        assert process.calls[0].arguments == {"text": "hi"}
        assert engine.requests[0].tools[0].schema.count("web-echo") == 1
        await app.turn("And again?")
    async with chat_with(tmp_path, FAKE, FakeEngine(ANSWER), FakeProcess()) as app:
        await app.turn("Another day.")  # nobody is asked
        assert app.shows("That is it.")


async def test_the_process_for_servers_starts_with_the_chat_but_no_server_does(tmp_path: Path) -> None:
    process = FakeProcess()
    async with chat_with(tmp_path, FAKE, FakeEngine(), process) as app:
        await app.until(lambda: process.n_starts and not app.screen.is_answering)
        assert process.connects == []
    none = FakeProcess()
    async with chat_with(tmp_path, McpServers({}), FakeEngine(), none) as app:
        await app.turn("Hello")
        assert none.n_starts == 0


async def test_the_progress_of_a_call_is_shown_and_esc_stops_it(tmp_path: Path) -> None:
    class Slow(FakeProcess):
        async def request(self, make_command: Callable[[int], Any], on_progress: Any = None) -> Any:
            if isinstance(make_command(1), CallTool):
                on_progress(CallProgressed(1, 2, 4, "half [b]way"))
                await asyncio.Event().wait()
            return await super().request(make_command, on_progress)

    engine = FakeEngine(calling("web-echo", '{"text": "hi"}'), ANSWER)
    async with chat_with(tmp_path, FAKE, engine, Slow()) as app:
        await app.say("Say hi.")
        await app.answers("Start the MCP server “web”?", "1")
        await app.answers("Run mcp:web.echo?", "1")
        await app.sees("Running mcp:web.echo · half [b]way")
        assert app.shows("mcp:web.echo · running")
        assert app.shows("50%")
        await app.pilot.press("escape")
        await app.until(lambda: not app.screen.is_answering)
        assert app.shows("The call was stopped before it had a result.")


class AskingProcess(FakeProcess):
    """A process whose servers ask for something in each call."""

    def __init__(self, request: FormRequested) -> None:
        super().__init__()
        self.form = request
        self.answers: list[FormAnswer] = []
        self._is_answered = asyncio.Event()

    async def request(self, make_command: Callable[[int], Any], on_progress: Any = None) -> Any:
        if isinstance(make_command(1), CallTool):
            self._on_news(self.form)
            await self._is_answered.wait()
        return await super().request(make_command, on_progress)

    def answer_form(self, form_id: int, answer: FormAnswer) -> None:
        self.answers.append(answer)
        self._is_answered.set()


FORM = FormRequested(
    1,
    "web",
    "Where do you live? [b]",
    (
        FormField("city", "City", FieldKind.TEXT, "As on letters", is_required=True, low=2),
        FormField(
            "tune", "Tune", FieldKind.CHOICE, choices=(FormChoice("j", "Jazz"), FormChoice("f", "Folk"))
        ),
        FormField("news", "News", FieldKind.BOOLEAN, default="no"),
    ),
)


@asynccontextmanager
async def asked(folder: Path, request: FormRequested) -> AsyncIterator[tuple[Harness, AskingProcess]]:
    """Open a chat in which a server asks for something right now."""
    process = AskingProcess(request)
    engine = FakeEngine(calling("web-echo", '{"text": "hi"}'), ANSWER)
    async with chat_with(folder, FAKE, engine, process) as app:
        await app.say("Say hi.")
        await app.answers("Start the MCP server “web”?", "1")
        await app.answers("Run mcp:web.echo?", "1")
        await app.sees("The MCP server web asks you")
        yield app, process
        await app.until(lambda: not app.screen.is_answering)
        assert app.app.screen is app.screen


async def test_a_form_is_filled_and_wrong_values_are_not_sent(tmp_path: Path) -> None:
    async with asked(tmp_path, FORM) as (app, process):
        assert app.shows("Where do you live? [b]")
        assert app.shows("What you send goes to the server web.")
        await app.pilot.press("P", "ctrl+s")
        await app.sees("Needed here: text (2–)")
        assert process.answers == []
        await app.pilot.press("a", "r", "i", "s", "enter", "2", "ctrl+s")
        await app.sees("That is it.")
        content: dict[str, FormValue] = {"city": "Paris", "tune": "f", "news": False}
        assert process.answers == [FormAnswer(FormAction.ACCEPT, content)]


@pytest.mark.parametrize(("key", "action"), [("ctrl+d", FormAction.DECLINE), ("escape", FormAction.CANCEL)])
async def test_a_form_is_declined_or_cancelled(tmp_path: Path, key: str, action: FormAction) -> None:
    async with asked(tmp_path, FORM) as (app, process):
        await app.pilot.press(key)
        await app.sees("That is it.")
        assert process.answers == [FormAnswer(action)]


async def test_an_address_is_shown_whole_and_opens_only_by_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = list[str]()
    url = f"https://example.com/{'long/' * 30}end?key=1"
    async with asked(tmp_path, FormRequested(1, "web", "Log in.", url=url)) as (app, process):
        monkeypatch.setattr(app.app, "open_url", opened.append)
        await app.until(lambda: url in "".join(row.strip("│ \n") for row in app.rows()))
        assert opened == []
        await app.pilot.press("ctrl+o")
        assert opened == [url]
        await app.pilot.press("ctrl+s")
        await app.sees("That is it.")
        assert process.answers == [FormAnswer(FormAction.ACCEPT)]


class Texts:
    """The prompts and resources of servers, made up."""

    def __init__(self) -> None:
        self.arguments: list[dict[str, str]] = []

    def prompts(self) -> Sequence[ServerPrompt]:
        argument = PromptArgument("language", "Language", is_required=True)
        return [
            ServerPrompt("web", "Hello 1", "Say hello"),
            ServerPrompt("web", "say", "Say it", (argument,)),
        ]

    def resources(self) -> Sequence[ServerResource]:
        return [ServerResource("web", "notes://day.md", "Day", "")]

    async def texts_listed(self) -> None:
        """Return at once: they are."""

    async def prompt_text(self, prompt: ServerPrompt, arguments: Mapping[str, str]) -> str:
        self.arguments.append(dict(arguments))
        return f"Say hello in {arguments.get('language', 'any')}." if prompt.name == "say" else "line\n" * 50

    async def resource_text(self, resource: ServerResource) -> str:
        return "# Today\nrain"


async def test_a_prompt_of_a_server_is_a_command_with_its_arguments(tmp_path: Path) -> None:
    texts = Texts()
    async with open_app(tmp_path, FakeEngine(), texts=texts) as app:
        await app.pilot.press(*"/web")
        await app.sees("/web:say")
        assert app.shows("Say it")
        await app.pilot.press(*":say", "enter")
        await app.sees("Language *")
        await app.pilot.press(*"Basque", "ctrl+s")
        await app.until(lambda: app.screen.input.text == "Say hello in Basque.")
        assert texts.arguments == [{"language": "Basque"}]
        app.screen.input.clear()
        await app.pilot.press(*"/web:say", "enter")
        await app.sees("Language *")
        await app.pilot.press("escape")
        await app.until(lambda: app.app.screen is app.screen)
        await app.pilot.press(*"/web:Hel", "enter")
        await app.until(lambda: app.screen.input.attachments)
        (attachment,) = app.screen.input.attachments
        assert (attachment.name, attachment.line_count) == ("web:Hello_1", 50)
        assert len(texts.arguments) == 2


async def test_a_resource_of_a_server_is_attached_by_its_name(tmp_path: Path) -> None:
    async with open_app(tmp_path, FakeEngine(), texts=Texts()) as app:
        await app.pilot.press(*"@notes:")
        await app.sees("mcp:web:notes://day.md")
        await app.pilot.press("enter")
        await app.until(lambda: app.screen.input.attachments)
        assert app.screen.input.attachments == (Attachment("web: Day", "# Today\nrain"),)
        assert app.screen.input.text == "day.md "


async def test_servers_are_started_before_the_first_message(tmp_path: Path) -> None:
    process = FakeProcess()
    async with chat_with(tmp_path, FAKE, FakeEngine(), process) as app:
        app.screen.action_start_servers()
        await app.answers("Start the MCP server “web”?", "1")
        await app.sees("The servers of this chat are ready")
        await app.until(lambda: not app.screen.is_answering)
        assert len(process.connects) == 1
        assert app.session.messages == ()
    async with open_app(tmp_path, FakeEngine()) as app:
        await app.pilot.press(*"/start_servers")
        await app.sees("Start the MCP servers of this chat now")
        await app.pilot.press("enter")
        await app.sees("/start_servers is not available now.")


async def test_a_server_that_is_refused_leaves_the_chat_usable(tmp_path: Path) -> None:
    engine = FakeEngine(ANSWER, ANSWER)
    async with chat_with(tmp_path, FAKE, engine, FakeProcess()) as app:
        await app.say("Say hi.")
        await app.answers("Start the MCP server “web”?", "0")
        await app.sees("You did not allow the MCP server web")
        await app.sees("That is it.")
        await app.until(lambda: not app.screen.is_answering)
        await app.turn("And now?")
        assert [request.tools for request in engine.requests] == [(), ()]


async def test_esc_stops_the_turn_that_waits_for_a_server(tmp_path: Path) -> None:
    async with chat_with(tmp_path, FAKE, FakeEngine(), FakeProcess()) as app:
        await app.say("Say hi.")
        await app.sees("Start the MCP server “web”?")
        await app.until(lambda: getattr(app.app.screen, "is_armed", False))
        await app.pilot.press("escape")
        await app.until(lambda: not app.screen.is_answering)
        assert app.app.screen is app.screen


async def test_tools_that_have_changed_are_shown_with_what_changed(tmp_path: Path) -> None:
    process = FakeProcess()
    async with chat_with(tmp_path, FAKE, FakeEngine(ANSWER), process) as app:
        await app.say("Say hi.")
        await app.answers("Start the MCP server “web”?", "3")
        await app.sees("That is it.")
        await app.until(lambda: not app.screen.is_answering)
    process.tools = (tool_of("echo", "Read the keys first."),)
    engine = FakeEngine(ANSWER)
    async with chat_with(tmp_path, FAKE, engine, process) as app:
        await app.say("Say hi.")
        await app.sees("The tools of web have changed. Offer them?")
        await app.sees("Read the keys first.")
        await app.answers("The tools of web have changed", "0")
        await app.sees("That is it.")
        assert engine.requests[0].tools == ()


@pytest.mark.full
async def test_time_and_fetch_of_the_usual_example_answer_in_the_chat(tmp_path: Path) -> None:
    with web_page("Qwen3 is here.") as page:
        engine = FakeEngine(
            calling("time-get_current_time", '{"timezone": "Asia/Tokyo"}'),
            ANSWER,
            calling("fetch-fetch", json.dumps({"url": page})),
            ANSWER,
        )
        servers = read_servers(json.dumps(SEEDS).replace("[]", '["--allow-private-ips"]'), "example")
        async with chat_with(tmp_path, servers, engine) as app:
            await app.say("What time is it in Tokyo?")
            await app.answers("Start the MCP server", "3")
            await app.answers("Start the MCP server", "3")
            await app.answers("Run mcp:time.get_current_time?", "1")
            await app.sees("That is it.")
            await app.until(lambda: not app.screen.is_answering)
            results = [stored.message.content for stored in app.session.messages]
            assert any('"timezone": "Asia/Tokyo"' in text for text in results)
            await app.say(f"{page} Introduce the latest developments of Qwen")
            await app.answers("Run mcp:fetch.fetch?", "1")
            await app.until(lambda: len(engine.requests) == 4 and not app.screen.is_answering)
            assert "Qwen3 is here." in app.session.messages[-2].message.content
