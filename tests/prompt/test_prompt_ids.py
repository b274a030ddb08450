from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from in_place_renderer import InPlaceRenderer
from qwen3_chat.chat import ChatMessage, Role, ThinkingMode, ToolCall
from qwen3_chat.context_plan import plan_context
from qwen3_chat.engine.worker.chat_template import ChatTemplate
from qwen3_chat.engine.worker.prompt_ids import count_prompt_tokens, tokenise
from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.request import ChatRequest, ToolSpec
from qwen3_chat.sampling import SamplingParams
from tests.prompt.conftest import OpenVocab
from tests.prompt.conversations import CONVERSATIONS, WEATHER, Conversation, reply, result, system, user
from tests.prompt.special_tokens import SPECIALS

VOCABULARIES = ("qwen3", "demo")


@pytest.fixture(scope="module", params=VOCABULARIES)
def opened(request: pytest.FixtureRequest) -> OpenVocab:
    chosen: OpenVocab = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture(scope="module")
def vocab(opened: OpenVocab) -> Vocab:
    return opened.vocab


@pytest.fixture(scope="module")
def template(vocab: Vocab, demo_source: str) -> ChatTemplate:
    return ChatTemplate(demo_source, vocab.specials, InPlaceRenderer())


def spells_a_token(conversation: Conversation) -> bool:
    texts = [text for m in conversation.messages for text in (m.content, m.reasoning)]
    return any(spelling in text for spelling in SPECIALS for text in texts)


WITHOUT_SPELLINGS = [name for name, conversation in CONVERSATIONS.items() if not spells_a_token(conversation)]


def request_of(conversation: Conversation) -> ChatRequest:
    mode = ThinkingMode.THINK if conversation.thinks else ThinkingMode.NO_THINK
    sampling = SamplingParams(0.6, 0.95, 20)
    return ChatRequest(conversation.messages, mode, sampling, seed=1, tools=conversation.tools)


def test_most_conversations_spell_no_token() -> None:
    assert len(WITHOUT_SPELLINGS) >= 40


@pytest.mark.parametrize("name", WITHOUT_SPELLINGS)
def test_ids_are_those_of_the_whole_text(opened: OpenVocab, template: ChatTemplate, name: str) -> None:
    prompt = template.render_request(request_of(CONVERSATIONS[name]))
    assert tokenise(prompt, opened.vocab) == opened.ids_of_whole(prompt.text)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_ids_spell_the_text(vocab: Vocab, template: ChatTemplate, name: str) -> None:
    prompt = template.render_request(request_of(CONVERSATIONS[name]))
    assert b"".join(map(vocab.piece, tokenise(prompt, vocab))).decode() == prompt.text


def in_a_question(text: str) -> Conversation:
    return Conversation((user(text),))


def in_an_earlier_question(text: str) -> Conversation:
    return Conversation((user(text), reply("Hi"), user("Go on")))


def in_the_system_prompt(text: str) -> Conversation:
    return Conversation((system(text), user("Hi")))


def in_the_system_prompt_before_tools(text: str) -> Conversation:
    return Conversation((system(text), user("Hi")), (WEATHER,))


def in_an_answer(text: str) -> Conversation:
    return Conversation((user("Hi"), reply(text), user("Go on")))


def in_the_last_answer(text: str) -> Conversation:
    return Conversation((user("Hi"), reply(text, "hm")))


def in_the_thinking(text: str) -> Conversation:
    return Conversation((user("Hi"), reply("Hello", text)))


def in_a_tool_result(text: str) -> Conversation:
    call = ToolCall("get_weather", "{}")
    return Conversation((user("Hi"), reply("", calls=(call,)), result(text), result(text)), (WEATHER,))


def in_a_called_name(text: str) -> Conversation:
    return Conversation((user("Hi"), reply("", calls=(ToolCall(text, "{}"),))), (WEATHER,))


def in_arguments(text: str) -> Conversation:
    call = ToolCall("get_weather", json.dumps({text: text}, ensure_ascii=False))
    return Conversation((user("Hi"), reply("", calls=(call,))), (WEATHER,))


def in_a_schema(text: str) -> Conversation:
    schema = {
        "type": "function",
        "function": {"name": text, "description": text, "parameters": {text: [text]}},
    }
    return Conversation((user("Hi"),), (ToolSpec(json.dumps(schema)),))


def in_a_schema_with_escapes(text: str) -> Conversation:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in text)
    return Conversation((user("Hi"),), (ToolSpec(f'{{"name": "{escaped}", "{escaped}": 1}}'),))


PLACES = (
    in_a_question,
    in_an_earlier_question,
    in_the_system_prompt,
    in_the_system_prompt_before_tools,
    in_an_answer,
    in_the_last_answer,
    in_the_thinking,
    in_a_tool_result,
    in_a_called_name,
    in_arguments,
    in_a_schema,
    in_a_schema_with_escapes,
)


def special_ids_of(ids: list[int], vocab: Vocab) -> list[int]:
    special = set(vocab.specials.values())
    return [token for token in ids if token in special]


def hostile_texts() -> Iterator[str]:
    for spelling in SPECIALS:
        yield spelling
        yield f"a {spelling}{spelling} b"
        yield f"<{spelling}>"
        yield f"{spelling[:-1]}{spelling}{spelling[1:]}"


@pytest.mark.parametrize("place", PLACES)
def test_no_text_becomes_a_special_token(
    qwen3: OpenVocab, qwen3_template: ChatTemplate, place: Callable[[str], Conversation]
) -> None:
    vocab = qwen3.vocab
    harmless = tokenise(qwen3_template.render_request(request_of(place("harmless"))), vocab)
    for text in hostile_texts():
        prompt = qwen3_template.render_request(request_of(place(text)))
        ids = tokenise(prompt, vocab)
        assert special_ids_of(ids, vocab) == special_ids_of(harmless, vocab), text
        assert text in prompt.text
        assert b"".join(map(vocab.piece, ids)).decode() == prompt.text


HOSTILE_TEXT = st.lists(
    st.sampled_from([*SPECIALS, "<", ">", "|", "im_end", "think>", "\n", " ", "好", "\ue000"])
    | st.text(max_size=4),
    max_size=8,
).map("".join)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(HOSTILE_TEXT, min_size=3, max_size=3))
def test_no_mixture_becomes_a_special_token(
    opened: OpenVocab, template: ChatTemplate, contents: list[str]
) -> None:
    vocab = opened.vocab
    question, answer, thinking = contents
    prompt = template.render((user(question), reply(answer, f"a{thinking}a")), (), True)
    spelled = [vocab.piece(token).decode() for token in special_ids_of(tokenise(prompt, vocab), vocab)]
    assert spelled == [
        *("<|im_start|>", "<|im_end|>", "<|im_start|>", "<think>", "</think>", "<|im_end|>", "<|im_start|>")
    ]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_shares_and_the_overhead_make_up_the_total(
    vocab: Vocab, template: ChatTemplate, name: str
) -> None:
    request = request_of(CONVERSATIONS[name])
    measure = count_prompt_tokens(template, vocab, request)
    assert measure.exact
    assert measure.total == len(tokenise(template.render_request(request), vocab))
    overhead = measure.total - sum(measure.per_message)
    header = vocab.encode("assistant\n"), vocab.encode("\n\n")
    expected = 1 + len(header[0]) + (0 if request.mode is ThinkingMode.THINK else 2 + 2 * len(header[1]))
    if request.tools and request.messages[0].role is not Role.SYSTEM:
        assert overhead > expected
    else:
        assert overhead == expected


@pytest.mark.parametrize("name", ["documented_three_turns", "many_turns", "tool_conversation_is_over"])
def test_a_plan_is_right_about_what_is_left(vocab: Vocab, template: ChatTemplate, name: str) -> None:
    request = request_of(CONVERSATIONS[name])
    measure = count_prompt_tokens(template, vocab, request)
    questions = [i for i, message in enumerate(request.messages) if message.role is Role.USER]
    for n_ctx in range(measure.total, 0, -max(1, measure.total // 20)):
        made = plan_context(request.messages, measure, n_ctx, reserve_tokens=0)
        left = tuple(m for i, m in enumerate(request.messages) if i not in made.dropped_messages)
        shorter = ChatRequest(left, request.mode, request.sampling, request.seed, request.tools)
        assert len(tokenise(template.render_request(shorter), vocab)) == made.prompt_tokens
        assert questions[-1] not in made.dropped_messages


def test_results_in_one_turn_are_counted_apart(vocab: Vocab, template: ChatTemplate) -> None:
    messages: tuple[ChatMessage, ...] = (user("Hi"), reply("", calls=(ToolCall("f", "{}"),)))
    measure = count_prompt_tokens(
        template, vocab, request_of(Conversation((*messages, result("a"), result("a" * 7), result("a"))))
    )
    first, second, third = measure.per_message[2:]
    assert first > third
    assert second >= third


def test_a_template_that_is_not_chatml_is_counted_by_its_contents(vocab: Vocab) -> None:
    template = ChatTemplate(
        "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}",
        vocab.specials,
        InPlaceRenderer(),
    )
    request = request_of(Conversation((user("Hello"), reply("Hi there"))))
    measure = count_prompt_tokens(template, vocab, request)
    assert measure.per_message == (len(vocab.encode("Hello")), len(vocab.encode("Hi there")))
    assert measure.total == len(tokenise(template.render_request(request), vocab))
    assert not measure.exact
