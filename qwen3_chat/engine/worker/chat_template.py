"""The chat template of a model, and the prompts that it renders conversations to.

Text from users, files, models and tools must never turn into a special token. So every spelling of one in
it is swapped for a private character before the template runs; the special spellings in the rendered text are
then the template's own, and the text is split there. In between, where the swapped spellings are back, it is
cut after the first character of each, so that no piece spells one. Any other cut would give other ids than
the whole text has.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode, ToolCall
from qwen3_chat.engine.reply_splitter import ReplyTag
from qwen3_chat.engine.worker.template_process import StopCheck, TemplateRenderer, never_stops
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.models.template_facts import ToolForm, read_template
from qwen3_chat.request import ChatRequest, ToolSpec

_PRIVATE_USE = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))
_TOOLS_VARIABLE = re.compile(r"\btools\b")


@dataclass(frozen=True, slots=True)
class SpecialToken:
    """A special token of the template itself."""

    spelling: str


@dataclass(frozen=True, slots=True)
class PlainText:
    """The text between two special tokens, in pieces that are tokenised one by one."""

    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt: its text, and the same text in parts."""

    text: str
    parts: tuple[SpecialToken | PlainText, ...]
    opens_reasoning: bool
    """True if the prompt ends inside a think block."""


class ChatTemplate:
    """The Jinja template of a GGUF file; `renderer` runs it, for this template alone."""

    def __init__(
        self,
        source: str,
        specials: Collection[str],
        renderer: TemplateRenderer,
        is_stopped: StopCheck = never_stops,
        *,
        named_tokens: Mapping[str, str] | None = None,
    ) -> None:
        """Compile a template; `specials` are the spellings of all special tokens of its vocabulary.

        `named_tokens` are those that templates ask for by name, `bos_token` and `eos_token`.

        Raises:
            EngineError: there is no template, it is not valid Jinja, or it needs too much time or memory.
        """
        if not source.strip():
            raise EngineError(ErrorCode.CHAT_TEMPLATE_MISSING)
        self._source = source
        facts = read_template(source)
        self._wants_argument_objects = facts.wants_argument_objects
        self.has_json_calls = facts.tool_form is ToolForm.HERMES
        """True if the model is told to write tool calls as JSON between tags."""
        self.has_notified_of_tools = _TOOLS_VARIABLE.search(source) is not None
        """True once the user knows that the template leaves tools out; at once where it does not."""
        self._named_tokens = {"bos_token": "", "eos_token": "", **(named_tokens or {})}
        # Special tokens of white space only, which other families have, mark no structure.
        markup = sorted((s for s in specials if len(s) > 1 and not s.isspace()), key=len, reverse=True)
        pattern = "|".join(map(re.escape, markup)) or "(?!)"
        self._special = re.compile(pattern)
        self._start_of_special = re.compile(f"(?={pattern})")
        self._renderer = renderer
        renderer.compile(source, is_stopped)

    def pieces(self, text: str) -> tuple[str, ...]:
        """Cut a text so that no piece spells a special token: tokenised one by one, it stays text."""
        return self._split_text(text).pieces

    def render_request(self, request: ChatRequest, is_stopped: StopCheck = never_stops) -> RenderedPrompt:
        """Render the prompt of a request, with the hard switch where the request asks for it.

        Raises:
            EngineError: see `render`; `Cancelled` once the result is not wanted any more.
        """
        thinks = request.mode is ThinkingMode.THINK or not request.hard_switch
        return self.render(request.messages, request.tools, thinks, is_stopped=is_stopped)

    def render(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[ToolSpec],
        enable_thinking: bool,
        add_generation_prompt: bool = True,
        is_stopped: StopCheck = never_stops,
    ) -> RenderedPrompt:
        """Render messages and tools as a prompt.

        Raises:
            EngineError: the template refused them, failed or needs too much time or memory, or a tool's
                schema is no JSON object.
        """
        try:
            masked, spelling_of = self._mask_special_tokens(
                [self._messages(messages), [_tool_schema(tool) for tool in tools]]
            )
        except RecursionError as error:  # only a schema is nested
            raise EngineError(ErrorCode.TOOL_SCHEMA_INVALID, reason=str(error)) from error
        variables = {
            "messages": masked[0],
            "tools": masked[1] or None,
            "documents": None,
            "enable_thinking": enable_thinking,
            "thinking": enable_thinking,  # the name that Granite's and DeepSeek's templates have for it
            "add_generation_prompt": add_generation_prompt,
            **self._named_tokens,
        }
        try:
            text = self._renderer.render(variables, is_stopped)
        except EngineError as error:
            if error.code is not ErrorCode.CHAT_TEMPLATE_FAILED:
                raise
            reason = str(error.values["reason"]).translate(spelling_of)
            raise EngineError(ErrorCode.CHAT_TEMPLATE_FAILED, reason=reason) from error
        return self._split_prompt(text, spelling_of)

    def _messages(self, messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
        """Return messages as templates want them; each call has an id, which its result repeats."""
        written: list[dict[str, Any]] = []
        waiting: deque[dict[str, Any]] = deque()
        n_calls = 0
        for message in messages:
            fields: dict[str, Any] = {"role": message.role.value, "content": message.sent_content}
            if message.role is Role.ASSISTANT:
                # Always a string: without it Qwen3's template cuts an answer that quotes `</think>`.
                fields["reasoning_content"] = message.reasoning
                waiting.clear()
            if message.role is Role.ASSISTANT and message.reasoning:
                fields["thinking"] = message.reasoning  # gpt-oss
            if message.tool_calls:
                fields["tool_calls"] = []
            for call in message.tool_calls:
                n_calls += 1
                function = {"name": call.name, "arguments": self._arguments(call)}
                call_fields = {"id": f"call{n_calls:05}", "type": "function", "function": function}
                fields["tool_calls"].append(call_fields)
                waiting.append(call_fields)
            if message.role is Role.TOOL and waiting:
                answered = waiting.popleft()
                fields |= {"name": answered["function"]["name"], "tool_call_id": answered["id"]}
            written.append(fields)
        return written

    def _arguments(self, call: ToolCall) -> Any:
        """Return a call's arguments as the template needs them: the text as it was written, or an object."""
        if not self._wants_argument_objects:
            return call.arguments
        try:
            arguments = json.loads(call.arguments)
        except (ValueError, RecursionError):
            return {}  # what never was an object has no arguments to list
        return arguments if isinstance(arguments, dict) else {}

    def _mask_special_tokens(self, values: list[Any]) -> tuple[Any, dict[int, str]]:
        """Swap every spelling of a special token for a private character; return also the way back."""
        unused = _unused_characters(chain(self._source, *_iterate_strings(values)))
        mask_of: dict[str, str] = {}

        def swap(match: re.Match[str]) -> str:
            if match[0] not in mask_of:
                mask_of[match[0]] = next(unused)
            return mask_of[match[0]]

        masked = _map_strings(values, lambda text: self._special.sub(swap, text))
        return masked, {ord(mask): spelling for spelling, mask in mask_of.items()}

    def _split_prompt(self, text: str, spelling_of: dict[int, str]) -> RenderedPrompt:
        parts: list[SpecialToken | PlainText] = []
        end = 0
        for match in self._special.finditer(text):
            if match.start() > end:
                parts.append(self._split_text(text[end : match.start()].translate(spelling_of)))
            parts.append(SpecialToken(match[0]))
            end = match.end()
        if end < len(text):
            parts.append(self._split_text(text[end:].translate(spelling_of)))
        opening, closing = SpecialToken(ReplyTag.THINK_OPEN), SpecialToken(ReplyTag.THINK_CLOSE)
        tags = [part for part in parts if part in (opening, closing)]
        opens_reasoning = bool(tags) and tags[-1] == opening
        return RenderedPrompt(text.translate(spelling_of), tuple(parts), opens_reasoning)

    def _split_text(self, text: str) -> PlainText:
        cuts = [0, *(match.start() + 1 for match in self._start_of_special.finditer(text)), len(text)]
        return PlainText(tuple(text[start:end] for start, end in pairwise(cuts)))


def _tool_schema(tool: ToolSpec) -> dict[str, Any]:
    try:
        schema = json.loads(tool.schema)
    except ValueError as error:
        raise EngineError(ErrorCode.TOOL_SCHEMA_INVALID, reason=str(error)) from error
    if not isinstance(schema, dict):
        raise EngineError(ErrorCode.TOOL_SCHEMA_INVALID, reason=tool.schema[:40])
    return schema


def _map_strings(value: Any, change: Callable[[str], str]) -> Any:
    """Change every string in nested lists and dictionaries, keys included."""
    match value:
        case str():
            return change(value)
        case list():
            return [_map_strings(item, change) for item in value]
        case dict():
            return {change(key): _map_strings(item, change) for key, item in value.items()}
        case _:
            return value


def _iterate_strings(value: Any) -> Iterator[str]:
    """Yield every string in nested lists and dictionaries, keys included."""
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _iterate_strings(item)
        case dict():
            for key, item in value.items():
                yield key
                yield from _iterate_strings(item)


def _unused_characters(used: Iterable[str]) -> Iterator[str]:
    """Yield the private characters that are not used; no context has room for all 137,000 of them."""
    taken = set(used)
    return (character for character in map(chr, chain(*_PRIVATE_USE)) if character not in taken)
