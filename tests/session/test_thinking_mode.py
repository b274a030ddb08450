from __future__ import annotations

from itertools import product

import pytest

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode, ThinkingSupport
from qwen3_chat.record_copies import replace
from qwen3_chat.session.thinking_mode import (
    ModeDecision,
    decide_mode,
    decide_model_mode,
    fixed_mode,
    is_only_mode_tag,
    mode_in_force,
    typed_mode,
)
from tests.fakes import MODEL
from tests.prompt.conversations import reply, result, system, user

THINK, NO_THINK = ThinkingMode.THINK, ThinkingMode.NO_THINK
MODES = (None, THINK, NO_THINK)

TYPED = [
    ("", None),
    ("How many r's in strawberries?", None),
    ("/think", THINK),
    ("/no_think", NO_THINK),
    ("Really? /think", THINK),
    ("Then, how many? /no_think", NO_THINK),
    ("/no_think Hello", NO_THINK),
    ("Hello\n/no_think\n", NO_THINK),
    ("Hello\t/think", THINK),
    ("Hello\r\n/think\r\n", THINK),
    ("/no_think or /think", THINK),
    ("/think or /no_think", NO_THINK),
    ("/think /think /no_think more", NO_THINK),
    ("真的吗？/think", THINK),
    ("那 blueberries 里呢？/no_think", NO_THINK),
    ("你好/no_think", NO_THINK),
    ("你好/no_think谢谢", NO_THINK),
    ("/think，请仔细想想", THINK),
    ("请直接回答。/no_think。", NO_THINK),
    ("“引号”/think", THINK),
    ("省略……/think", THINK),
    ("（/no_think）", NO_THINK),
    ("全角空格\u3000/think\u3000", THINK),
    ("こんにちは/think", THINK),
    ("안녕/no_think", NO_THINK),
    ("𠮷/think", THINK),
    ("Really?/think", THINK),
    ("Stop./no_think", NO_THINK),
    ("Go on (/think), please", THINK),
    ("Use /think.", THINK),
    ("Use /no_think!", NO_THINK),
    ("/usr/think", None),
    ("/usr/bin/no_think", None),
    ("a/think", None),
    ("1/think", None),
    ("é/think", None),
    ("_/think", None),
    ("./think", None),
    ("../no_think", None),
    ("~/think", None),
    ("C:/think", None),
    ("//think", None),
    ("x=/think", None),
    ("/thinking", None),
    ("/think2", None),
    ("/thinké", None),
    ("/no_thinking", None),
    ("/no_think_about_it", None),
    ("/think-tank", None),
    ("/think/deeply", None),
    ("/think\\deeply", None),
    ("/think.py", None),
    ("/no-think", None),
    ("/nothink", None),
    ("/Think", None),
    ("/ think", None),
    ("think", None),
    ("no_think", None),
    ("`/think`", None),
    ("https://example.com/think", None),
    ("https://example.com/a,/think", None),
    ("http://例子.cn/think", None),
    ("see https://example.com/?q=(/no_think", None),
    ("https://example.com/think /no_think", NO_THINK),
    ("请看https://example.com/a。/think", THINK),
    ("file:///think", None),
]


@pytest.mark.parametrize(("text", "mode"), TYPED)
def test_a_typed_tag_is_found_where_it_stands_alone(text: str, mode: ThinkingMode | None) -> None:
    assert typed_mode(text) is mode


def test_finding_a_tag_takes_no_longer_for_odd_texts() -> None:
    for run in ("a", "a.", "/", "/no_", "https://", " /thin", "字", "a+"):
        assert typed_mode(run * 100_000) is None


@pytest.mark.parametrize(
    ("text", "is_only_a_tag"),
    [
        ("/think", True),
        ("  /no_think\n", True),
        ("", False),
        ("/think!", False),
        ("/think /think", False),
        ("Hello /think", False),
        ("/thinking", False),
    ],
)
def test_a_text_may_be_nothing_but_a_tag(text: str, is_only_a_tag: bool) -> None:
    assert is_only_mode_tag(text) is is_only_a_tag


IN_FORCE: list[tuple[tuple[ChatMessage, ...], ThinkingMode | None]] = [
    ((), None),
    ((user("Hi"), reply("Hello")), None),
    ((user("Hi /no_think"), reply("Hello")), NO_THINK),
    ((user("Hi", NO_THINK), reply("Hello")), NO_THINK),
    ((user("Hi /no_think"), reply("Hello"), user("Why? /think")), THINK),
    ((user("Hi /no_think"), reply("Hello"), user("Why?", THINK)), THINK),
    ((user("Hi", NO_THINK), reply("Hello"), user("Why?")), NO_THINK),
    ((user("Hi /think, or what?", NO_THINK),), NO_THINK),
    ((system("Be brief. /no_think"),), NO_THINK),
    ((system("/no_think"), user("Hi")), NO_THINK),
    ((system("/no_think"), user("Hi /think")), THINK),
    ((system("/think"), user("Hi", NO_THINK)), NO_THINK),
    ((user("Hi /think"), system("From now on: /no_think")), THINK),
    ((user("Hi"), reply("Type /no_think")), None),
    ((user("Hi"), result("/no_think")), None),
    ((user("cat /usr/no_think"),), None),
]


@pytest.mark.parametrize(("messages", "mode"), IN_FORCE)
def test_the_latest_tag_of_the_user_or_else_of_the_system_is_in_force(
    messages: tuple[ChatMessage, ...], mode: ThinkingMode | None
) -> None:
    assert mode_in_force(messages) is mode


def tagged(mode: ThinkingMode | None) -> str:
    return f"Hello {mode.tag}" if mode else "Hello"


def expected(
    typed: ThinkingMode | None,
    mode_override: ThinkingMode | None,
    history: ThinkingMode | None,
    prompt: ThinkingMode | None,
) -> ModeDecision:
    match typed, mode_override, history, prompt:
        case ThinkingMode() as mode, _, _, _:
            return ModeDecision(mode, None, mode)
        case None, ThinkingMode.THINK, ThinkingMode.NO_THINK, _:
            return ModeDecision(THINK, THINK, THINK)
        case None, ThinkingMode.THINK, None, ThinkingMode.NO_THINK:
            return ModeDecision(THINK, THINK, THINK)
        case None, ThinkingMode.THINK, _, _:
            return ModeDecision(THINK, None, THINK)
        case None, ThinkingMode.NO_THINK, ThinkingMode.NO_THINK, _:
            return ModeDecision(NO_THINK, None, NO_THINK)
        case None, ThinkingMode.NO_THINK, None, ThinkingMode.NO_THINK:
            return ModeDecision(NO_THINK, None, NO_THINK)
        case None, ThinkingMode.NO_THINK, _, _:
            return ModeDecision(NO_THINK, NO_THINK, NO_THINK)
        case None, None, ThinkingMode() as mode, _:
            return ModeDecision(mode, None, None)
        case None, None, None, ThinkingMode() as mode:
            return ModeDecision(mode, None, None)
        case _:
            return ModeDecision(THINK, None, None)


@pytest.mark.parametrize("is_appended", [False, True])
@pytest.mark.parametrize(("typed", "mode_override", "history", "prompt"), [*product(MODES, repeat=4)])
def test_typed_tag_then_toggle_then_history_then_system_prompt_then_thinking(
    typed: ThinkingMode | None,
    mode_override: ThinkingMode | None,
    history: ThinkingMode | None,
    prompt: ThinkingMode | None,
    is_appended: bool,
) -> None:
    earlier = ChatMessage(Role.USER, "Hi", mode_tag=history) if is_appended else user(tagged(history))
    messages = (system(tagged(prompt)), earlier, reply("Hello"))
    assert decide_mode(tagged(typed), mode_override, messages) == expected(
        typed, mode_override, history, prompt
    )


def test_a_tag_is_appended_once_and_not_again_while_it_is_in_force() -> None:
    history: tuple[ChatMessage, ...] = ()
    appended = []
    for mode_override in (None, NO_THINK, NO_THINK, THINK, THINK, NO_THINK):
        decision = decide_mode("Go on", mode_override, history)
        appended.append(decision.tag_to_append)
        history += (ChatMessage(Role.USER, "Go on", mode_tag=decision.tag_to_append), reply("Well"))
    assert appended == [None, NO_THINK, None, THINK, None, NO_THINK]


def test_a_model_without_a_soft_switch_gets_no_tag_but_the_mode() -> None:
    model = replace(MODEL, thinking=ThinkingSupport.SWITCHABLE, has_soft_switch=False)
    assert decide_model_mode(model, "Go on", NO_THINK, ()) == ModeDecision(NO_THINK, None, NO_THINK)
    assert decide_model_mode(model, "Go on /think", NO_THINK, ()) == ModeDecision(THINK, None, THINK)
    assert decide_model_mode(MODEL, "Go on", NO_THINK, ()) == ModeDecision(NO_THINK, NO_THINK, NO_THINK)


@pytest.mark.parametrize(
    ("name", "thinking", "fixed"),
    [
        ("Qwen3-8B", ThinkingSupport.SWITCHABLE, None),
        ("Qwen3-8B", None, None),
        ("a tuned one", ThinkingSupport.NEVER, NO_THINK),
        ("a tuned one", ThinkingSupport.ALWAYS, THINK),
        ("Qwen3-4B-Thinking-2507", ThinkingSupport.NEVER, THINK),
    ],
)
def test_a_plain_name_decides_before_the_template(
    name: str, thinking: ThinkingSupport | None, fixed: ThinkingMode | None
) -> None:
    assert fixed_mode(replace(MODEL, name=name, thinking=thinking)) is fixed


def test_a_typed_tag_moves_the_toggle_and_holds_for_the_turns_after_it() -> None:
    first = decide_mode("Hi /no_think", THINK, ())
    second = decide_mode("And now?", first.mode_override, (user("Hi /no_think"), reply("Hello")))
    assert second == ModeDecision(NO_THINK, None, NO_THINK)


def test_the_documented_conversation_thinks_answers_and_thinks() -> None:
    history: tuple[ChatMessage, ...] = ()
    modes = []
    for text in (
        "How many r's in strawberries?",
        "Then, how many r's in blueberries? /no_think",
        "Really? /think",
    ):
        modes.append(decide_mode(text, None, history).mode)
        history += (user(text), reply("Hm"))
    assert modes == [THINK, NO_THINK, THINK]
