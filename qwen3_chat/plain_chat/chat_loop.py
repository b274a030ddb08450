"""The loop of the plain chat: a line is read, a message sent or a slash command run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.plain_chat.comparison_lines import ComparisonLines
from qwen3_chat.plain_chat.form_lines import SEND
from qwen3_chat.plain_chat.line_renderer import LineRenderer
from qwen3_chat.plain_chat.server_text_lines import ServerTextLines, prompt_name
from qwen3_chat.session import ChatSession, SessionEventSink, Turn
from qwen3_chat.session.thinking_mode import is_only_mode_tag, typed_mode
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import MAX_ID_DIGITS
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe

MAX_LISTED_CHATS = 20

ReadLine = Callable[[str], str | None]
"""A function that shows a prompt and returns the typed line, None at the end of the input."""


class SlashCommand(StrEnum):
    """A slash command; the value is its name."""

    HELP = "help"
    NEW = "new"
    CHATS = "chats"
    OPEN = "open"
    AGAIN = "again"
    CONTINUE = "continue"
    CALL = "call"
    SERVERS = "servers"
    COMPARE = "compare"
    EXPORT = "export"
    QUIT = "quit"


@dataclass(frozen=True, slots=True)
class TypedCommand:
    """A typed command with its argument; `command` is None where the name is unknown."""

    command: SlashCommand | None
    argument: str


def parse_slash_command(line: str) -> TypedCommand | None:
    """Return the command of a line; None for a message, also one that begins with a path or `//`."""
    word, _, argument = line.strip().partition(" ")
    if not word.startswith("/") or not word[1:].isalpha():
        return None
    name = word[1:].lower()
    return TypedCommand(SlashCommand(name) if name in set(SlashCommand) else None, argument.strip())


class PlainChat:
    """A session as plain lines, read and written through the functions that it is given.

    `server_texts` has the prompts and resources of MCP servers; `comparisons` has models side by side.
    """

    def __init__(
        self,
        session: ChatSession,
        store: ChatStore,
        renderer: LineRenderer,
        read_line: ReadLine,
        run_until_interrupt: Callable[[Coroutine[None, None, None]], Awaitable[object]],
        export: Callable[[], Awaitable[Path | None]],
        server_texts: ServerTextLines | None = None,
        comparisons: ComparisonLines | None = None,
    ) -> None:
        self._session = session
        self._store = store
        self._renderer = renderer
        renderer.name_of = self._name_of
        self._read_line = read_line
        self._run_until_interrupt = run_until_interrupt
        self._export = export
        self._server_texts = server_texts
        self._comparisons = comparisons

    async def run(self) -> None:
        """Run the loop until the input ends or the user leaves."""
        self._renderer.write_line(t("linear.welcome"))
        await self._turn(self._prepare)
        if model := self._session.engine.model:
            self._renderer.write_line(terminal_safe(model.title))
        self._renderer.write_history(self._session.messages)
        self._write_notices()
        while (text := self._read_message()) is not None:
            try:
                if not await self._handle_input(text):
                    return
            except Qwen3ChatError as error:
                self._renderer.write_line(terminal_safe(str(error)))
            self._write_notices()

    def _write_notices(self) -> None:
        """Write what there is to tell of the chat database."""
        for notice in self._store.take_notices():
            self._renderer.write_line(terminal_safe(notice))

    def _read_message(self) -> str | None:
        """Read a message; a line that ends with a backslash continues in the next."""
        lines: list[str] = []
        while (line := self._read_line(t("linear.more") if lines else self._prompt_text)) is not None:
            if not line.endswith("\\"):
                return "\n".join([*lines, line])
            lines.append(line[:-1])
        return "\n".join(lines) or None

    @property
    def _prompt_text(self) -> str:
        return t(f"linear.prompt.{self._session.mode.value}")

    async def _handle_input(self, text: str) -> bool:
        """Send a message or run a command; return False if the user leaves."""
        typed = parse_slash_command(text)
        if not text.strip():
            return True
        if is_only_mode_tag(text) and (mode := typed_mode(text)):
            await self._session.set_mode_override(mode)
        elif self._session.has_outside_tools and self._server_texts and (name := prompt_name(text)):
            await self._send_prompt(self._server_texts, name)
        elif typed is None or typed_mode(text):
            await self._send(text)
        elif typed.command is SlashCommand.QUIT:
            return False
        else:
            await self._run_command(typed)
        return True

    async def _send(self, text: str) -> None:
        """Send a message with the resources of servers that it names."""
        message: str | None = text
        if self._server_texts is not None and self._session.has_outside_tools:
            message = await self._done(self._server_texts.attach_mentioned(text))
        if message is not None:
            await self._turn(partial(self._session.send, message))

    async def _send_prompt(self, texts: ServerTextLines, name: str) -> None:
        """Send the text of a server's prompt, if the user still wants to once it is written."""
        await self._turn(self._session.prepare_tools)
        if not (text := await self._done(texts.prompt_text(name))):
            return
        word = self._read_line(t("linear.servers.send"))
        if word is not None and word.strip() == SEND:
            await self._turn(partial(self._session.send, text))

    async def _done(self, work: Coroutine[None, None, str]) -> str | None:
        """Return the result of some work; None where Ctrl+C stopped it."""
        results = list[str]()

        async def run() -> None:
            results.append(await work)

        await self._run_until_interrupt(run())
        return results[0] if results else None

    async def _list_servers(self) -> None:
        """Start the servers of the chat; list the prompts and the resources of all that run."""
        await self._turn(self._session.prepare_tools)
        if self._server_texts is not None:
            await self._run_until_interrupt(self._server_texts.write_lists())

    async def _run_command(self, typed: TypedCommand) -> None:
        session, write_line = self._session, self._renderer.write_line
        match typed.command:
            case SlashCommand.NEW:
                session.start_new()
                write_line(t("linear.new"))
            case SlashCommand.CHATS:
                await self._list_chats(typed.argument)
            case SlashCommand.OPEN if typed.argument.isdecimal() and len(typed.argument) <= MAX_ID_DIGITS:
                await session.resume(int(typed.argument))
                self._renderer.write_history(session.messages)
            case SlashCommand.OPEN:
                write_line(t("linear.open_what"))
            case SlashCommand.AGAIN:
                await self._turn(session.regenerate)
            case SlashCommand.CONTINUE if session.can_continue:
                await self._turn(session.continue_reply)
            case SlashCommand.CONTINUE:
                write_line(t("linear.nothing_to_continue"))
            case SlashCommand.CALL if not session.lacks_call:
                write_line(t("linear.nothing_to_call"))
            case SlashCommand.CALL if not session.engine.capabilities.requires_calls:
                write_line(t("ui.notice.call_not_offered"))
            case SlashCommand.CALL:
                await self._turn(session.make_call)
            case SlashCommand.SERVERS if not session.has_outside_tools:
                write_line(t("linear.servers.no_servers"))
            case SlashCommand.SERVERS:
                await self._list_servers()
            case SlashCommand.COMPARE if self._comparisons is not None:
                await self._comparisons.hold()
            case SlashCommand.EXPORT:
                path = await self._export()
                write_line(
                    terminal_safe(t("cli.exported", path=path)) if path else t("linear.nothing_to_export")
                )
            case SlashCommand.HELP:
                write_line(t("linear.help"))
            case _:
                write_line(t("linear.no_command"))

    async def _list_chats(self, words: str) -> None:
        chats = await self._store.chats(search=words or None)
        for chat in chats[:MAX_LISTED_CHATS]:
            self._renderer.write_line(f"{chat.id}: {terminal_safe(chat.title) or t('ui.untitled')}")
        if not chats:
            self._renderer.write_line(t("cli.no_chats_found") if words else t("cli.no_chats"))

    async def _prepare(self, on_event: SessionEventSink) -> None:
        await self._session.prepare(on_event)

    def _name_of(self, model_name: str) -> str:
        """Return the name by which the user knows a tool; the model knows those of servers by another."""
        tool = self._session.tools.get(model_name)
        return model_name if tool is None else tool.name

    async def _turn(self, turn: Turn) -> None:
        """Show a turn; where the chat no longer fits, ask for a policy and answer with it."""
        self._renderer.start_turn()
        await self._run_until_interrupt(turn(self._renderer.render))
        if (exceeded := self._renderer.exceeded) is not None and exceeded.policies:
            choice = self._read_line(t("linear.policy", policies=", ".join(exceeded.policies)))
            if choice and choice.strip() in exceeded.policies:
                policy = ContextPolicy(choice.strip())
                session = self._session
                answer = session.continue_reply if exceeded.continues else session.regenerate
                answer = session.make_call if exceeded.must_call else answer
                await self._turn(partial(answer, policy=policy))
