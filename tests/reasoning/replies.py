"""Replies that a model may write, with their parts."""

from __future__ import annotations

from dataclasses import dataclass

from qwen3_chat.chat import ToolCall
from qwen3_chat.engine.reply_splitter import ReplyPart
from qwen3_chat.events import AnswerDelta, ReasoningDelta, ToolCallRequested


@dataclass(frozen=True, slots=True)
class Reply:
    text: str
    parts: tuple[ReplyPart, ...]
    opened_by_prompt: bool = False


def thinking(text: str) -> ReasoningDelta:
    return ReasoningDelta(text)


def answer(text: str) -> AnswerDelta:
    return AnswerDelta(text)


def call(name: str, arguments: str) -> ToolCallRequested:
    return ToolCallRequested(ToolCall(name, arguments))


SHORT = '<tool_call>{"name": "f"}</tool_call>'
NOW = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'

REPLIES = {
    "thinking_and_answer": Reply(
        "<think>\nTwo and\n\ntwo.\n</think>\n\nIt is 4.\n\nSure.",
        (thinking("Two and\n\ntwo."), answer("It is 4.\n\nSure.")),
    ),
    "answer_only": Reply("Hello!\nHow are you?\n", (answer("Hello!\nHow are you?\n"),)),
    "nothing": Reply("", ()),
    "only_white_space": Reply(" \n\n ", ()),
    "empty_thinking": Reply("<think>\n\n</think>\n\nThe answer.", (answer("The answer."),)),
    "blank_thinking": Reply("<think> \n \n</think> Yes", (answer(" Yes"),)),
    "nothing_between_the_tags": Reply("<think></think>Yes", (answer("Yes"),)),
    "white_space_before_the_thinking": Reply(
        "\n \n<think>hm</think>\n\nYes", (thinking("hm"), answer("Yes"))
    ),
    "thinking_keeps_its_inner_space": Reply(
        "<think>\n\n  a\n\n b \n \n</think>\n\n  c \n", (thinking("  a\n\n b \n "), answer("  c \n"))
    ),
    "opened_by_the_prompt": Reply("Hm.\n</think>\n\nYes", (thinking("Hm."), answer("Yes")), True),
    "opened_by_the_prompt_and_again": Reply(
        "\n<think>\nHm.\n</think>\n\nYes", (thinking("Hm."), answer("Yes")), True
    ),
    "opened_by_the_prompt_and_empty": Reply("\n</think>\n\nYes", (answer("Yes"),), True),
    "end_without_a_start": Reply("\n</think>\n\nYes", (answer("Yes"),)),
    "end_after_the_answer_began": Reply("Yes</think>\nNo", (answer("Yes</think>\nNo"),)),
    "never_closed": Reply("<think>\nOn and\non <thi\n\n", (thinking("On and\non <thi"),)),
    "never_closed_though_opened_by_the_prompt": Reply(
        "On and on </thin", (thinking("On and on </thin"),), True
    ),
    "never_closed_and_empty": Reply("<think>\n\n", ()),
    "chinese_and_emoji": Reply(
        "<think>\n用户问好。👩‍👩‍👧‍👦\n</think>\n\n你好！🇨🇳\n很高兴。",
        (thinking("用户问好。👩‍👩‍👧‍👦"), answer("你好！🇨🇳\n很高兴。")),
    ),
    "tags_quoted_in_code": Reply(
        "Use `<think>`:\n```\n<think>\nx\n</think>\n```\n",
        (answer("Use `<think>`:\n```\n<think>\nx\n</think>\n```\n"),),
    ),
    "tags_quoted_after_thinking": Reply(
        "<think>hm</think>\n\nIt ends with `</think>`, <think>.",
        (thinking("hm"), answer("It ends with `</think>`, <think>.")),
    ),
    "a_second_block": Reply(
        "<think>a</think><think>b</think>c", (thinking("a"), answer("<think>b</think>c"))
    ),
    "start_quoted_in_thinking": Reply("<think>a <think> b</think>c", (thinking("a <think> b"), answer("c"))),
    "tags_that_are_none": Reply(
        "<Think> < think><thinks</think <<think", (answer("<Think> < think><thinks</think <<think"),)
    ),
    "half_a_tag_at_the_end": Reply("Yes <tool_cal", (answer("Yes <tool_cal"),)),
    "tool_call": Reply(
        "<think>\nLook.\n</think>\n\n"
        '<tool_call>\n{"name": "get", "arguments": {"城市": "北京", "n": 1.5}}\n</tool_call>',
        (thinking("Look."), call("get", '{"城市": "北京", "n": 1.5}')),
    ),
    "tool_call_after_text": Reply(f"Let me look.\n{NOW}\n", (answer("Let me look."), call("now", "{}"))),
    "tool_call_after_an_empty_line": Reply(f"Look:\n\n{NOW}", (answer("Look:\n"), call("now", "{}"))),
    "tool_calls_in_a_row": Reply(
        f"{NOW}\n{SHORT}{SHORT}\n\n", (call("now", "{}"), call("f", "{}"), call("f", "{}"))
    ),
    "text_after_a_tool_call": Reply(f"A\n{NOW}\n\nB\n", (answer("A"), call("now", "{}"), answer("\n\nB\n"))),
    "text_only_after_a_tool_call": Reply(f"{NOW}\nB", (call("now", "{}"), answer("B"))),
    "tool_call_that_quotes_tags": Reply(
        '<tool_call>{"name": "w", "arguments": {"t": "<think>\\"</tool_call> <tool_call>"}}</tool_call>',
        (call("w", '{"t": "<think>\\"</tool_call> <tool_call>"}'),),
    ),
    "tool_call_with_a_raw_newline": Reply(
        '<tool_call>{"name": "w", "arguments": {"t": "a\nb"}}</tool_call>', (call("w", '{"t": "a\\nb"}'),)
    ),
    "tool_call_without_arguments": Reply('<tool_call>{"name": "now"}</tool_call>', (call("now", "{}"),)),
    "tool_call_that_is_no_json": Reply(
        "A\n\n<tool_call>\n{now}\n</tool_call>\nB", (answer("A\n\n<tool_call>\n{now}\n</tool_call>\nB"),)
    ),
    "tool_call_with_a_broken_string": Reply(
        f'<tool_call>\n{{"name": "w}}\n</tool_call>\n{NOW}',
        (answer('<tool_call>\n{"name": "w}\n</tool_call>'), call("now", "{}")),
    ),
    "tool_call_without_a_name": Reply(
        '<tool_call>{"name": "", "arguments": {}}</tool_call>',
        (answer('<tool_call>{"name": "", "arguments": {}}</tool_call>'),),
    ),
    "tool_call_whose_arguments_are_a_list": Reply(
        '<tool_call>{"name": "f", "arguments": []}</tool_call>',
        (answer('<tool_call>{"name": "f", "arguments": []}</tool_call>'),),
    ),
    "tool_call_that_is_a_list": Reply("<tool_call>[1]</tool_call>", (answer("<tool_call>[1]</tool_call>"),)),
    "tool_call_never_closed": Reply(
        'A\n<tool_call>\n{"name": "f"}\n', (answer('A\n<tool_call>\n{"name": "f"}\n'),)
    ),
    "tool_call_cut_in_a_tag": Reply(
        '<tool_call>{"name": "f"}</tool', (answer('<tool_call>{"name": "f"}</tool'),)
    ),
    "tool_call_interrupted_by_another": Reply(
        f'<tool_call>\n{{"name":\n{NOW}', (answer('<tool_call>\n{"name":'), call("now", "{}"))
    ),
    "tool_call_in_the_thinking": Reply(f"<think>{NOW}</think>Yes", (thinking(NOW), answer("Yes"))),
    "thinking_after_a_tool_call": Reply(
        f"{NOW}\n<think>a</think>", (call("now", "{}"), answer("<think>a</think>"))
    ),
    "end_of_a_tool_call_alone": Reply("</tool_call>Yes", (answer("</tool_call>Yes"),)),
}
