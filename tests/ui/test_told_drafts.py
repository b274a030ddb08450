"""Where the user reads what a draft model brought, and which adapters a reply was written with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode, Timings
from qwen3_chat.documents.message_facts import facts_line
from qwen3_chat.models.picker import StartupAdapters
from qwen3_chat.models.picker.contenders import list_contenders
from qwen3_chat.record_copies import replace
from qwen3_chat.store.records import MessageMeta, StoredMessage
from qwen3_chat.texts import Language, set_language
from qwen3_chat.texts.formatting import format_drafts
from qwen3_chat.ui.message_entries import message_header
from qwen3_chat.ui.widgets.status_bar import Status, status_parts
from tests.fakes import MODEL, FakeEngine
from tests.harness import Start
from tests.models.fit.machines import cpu
from tests.models.picker.picker_fixture import PickerFixture, install_files
from tests.ui.test_chat_options import opened

DRAFTED = Timings(
    tokens_per_s=40.0, drafted_tokens=100, accepted_tokens=71, draft_steps=30, draft_speedup=1.347
)
PAUSED = replace(DRAFTED, draft_speedup=0.8, draft_pauses=2)
TOLD = {
    "with success": (DRAFTED, "drafts: 71% accepted, 3.4 tokens a step, 1.35 × as fast"),
    "paused": (
        PAUSED,
        "drafts: 71% accepted, 3.4 tokens a step, 0.80 × as fast, paused as slower: 2 ×",
    ),
    "never sure": (Timings(draft_pauses=3, draft_speedup=0.5), "no drafts: none was sure enough"),
    "no draft model": (Timings(tokens_per_s=40.0), ""),
}


@pytest.mark.parametrize(("timings", "text"), TOLD.values(), ids=TOLD)
def test_what_drafts_brought_is_a_sentence(timings: Timings, text: str) -> None:
    assert format_drafts(timings) == text


def reply(timings: Timings | None = None, *adapters: str) -> StoredMessage:
    meta = MessageMeta(model="Qwen3-8B", timings=timings, adapters=adapters or None)
    return StoredMessage(2, 1, 1, ChatMessage(Role.ASSISTANT, "Yes."), meta, datetime(2026, 1, 1, tzinfo=UTC))


def test_exports_and_the_status_line_tell_of_drafts() -> None:
    assert facts_line(reply(DRAFTED)).endswith("40 tok/s · " + format_drafts(DRAFTED))
    assert "drafts" not in facts_line(reply(Timings(tokens_per_s=40.0)))
    for timings, part in ((DRAFTED, "drafts 71%, 3.4 a step"), (PAUSED, "drafts 71%, paused as slower")):
        assert part in status_parts(Status(ThinkingMode.THINK, MODEL, timings=timings))
    set_language(Language.ZH)
    try:
        assert "草稿：71% 被采纳，每步 3.4 个 token" in facts_line(reply(DRAFTED))
    finally:
        set_language(Language.EN)


def test_the_header_of_a_reply_names_the_adapters() -> None:
    assert message_header(reply(None, "ahoy × 0.5", "other")) == "Qwen3-8B + ahoy × 0.5 + other"
    assert message_header(reply()) == "Qwen3-8B"


async def test_the_options_of_the_chat_list_the_adapters(start: Start) -> None:
    engine = FakeEngine()
    engine.model = replace(MODEL, adapters=("ahoy × 0.5",))
    async with start(engine) as app:
        await opened(app)
        await app.sees("Adapters: ahoy × 0.5, named with --lora")


async def test_a_comparison_names_the_adapters_of_the_model_that_they_are_for(tmp_path: Path) -> None:
    install_files(tmp_path, "Qwen3-0.6B-Q8_0.gguf")
    picker = PickerFixture(tmp_path, cpu(16)).model_picker()
    picker = replace(picker, adapters=StartupAdapters(picker.demo.path.absolute(), ("ahoy",)))
    entrants = (await list_contenders(picker, None, ThinkingMode.THINK)).local
    assert [entrant.title for entrant in entrants] == ["Qwen3-0.6B Q8_0", "Qwen3-chat demo + ahoy"]
