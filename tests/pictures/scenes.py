"""The scenes of the pictures: a scripted engine, and the user's actions before the picture is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from textual.events import Paste
from textual.widgets import Input

from qwen3_chat.chat import StopReason, ThinkingMode
from qwen3_chat.comparison.votes import Tally, tally_sentence
from qwen3_chat.events import AnswerDelta, EngineFailed, LoadProgressed, PrefillProgressed, ReasoningDelta
from qwen3_chat.record_copies import replace
from qwen3_chat.session import TurnOptions
from qwen3_chat.store.records import ComparedAnswer, Comparison, Entrant, VoteOutcome
from qwen3_chat.tools.built_in_tools import Toolbox
from qwen3_chat.ui.screens.comparison_screen import ComparisonActions, ComparisonScreen
from tests.fakes import FakeEngine, Step, finished
from tests.harness import Harness
from tests.pictures import tool_scenes
from tests.pictures.texts import say

POLL_INTERVAL_S, STILL_POLLS, MAX_POLLS = 0.15, 3, 30

CODE = '''```python
def quicksort(items: list[int]) -> list[int]:
    """Sort by dividing around a pivot."""
    if len(items) <= 1:
        return items
    pivot, *rest = items
    return [*quicksort([x for x in rest if x < pivot]), pivot]
```
'''
ENGLISH = f"""Quicksort divides around a **pivot**, on average in `O(n log n)`:

{CODE}
| case | cost | why |
|:--|:-:|--:|
| average | $O(n \\log n)$ | even halves |
| worst | $O(n^2)$ | sorted input |

1. Choose a pivot, see [the docs](https://example.org)
   > the rest follows
"""
CHINESE = f"""**快速排序。**先选一个基准，平均复杂度是 `O(n log n)`：

{CODE}
| 情况 | 复杂度 | 说明 |
|:--|:-:|--:|
| 平均 | $O(n \\log n)$ | 大致平分 |
| 最坏 | $O(n^2)$ | 已经有序 |

1. 选择基准，见[文档](https://example.org)
   > 其余的递归处理
"""


def question() -> str:
    """Return the question with which every chat here begins."""
    return say("Write quicksort in Python.", "用 Python 写一个快速排序。")


def thought() -> ReasoningDelta:
    """Return a short piece of thinking."""
    english = "The user wants quicksort. A list comprehension is short; the pivot is the first item."
    return ReasoningDelta(say(english, "用户想要快速排序。列表推导式最短；取第一个元素作基准。"), 31)


def answer() -> AnswerDelta:
    """Return an answer with many kinds of Markdown."""
    return AnswerDelta(say(ENGLISH, CHINESE), 140)


def whole() -> list[Step]:
    """Return a whole reply: thinking, answer, end."""
    return [thought(), answer(), finished()]


Act = Callable[[Harness], Awaitable[None]]


@dataclass(frozen=True)
class Scene:
    """A scene: the scripts of the replies and of the load, and the user's actions."""

    act: Act
    parts: Callable[[], list[list[Step]]] = lambda: [whole()]
    loading: Callable[[], list[Step]] = list
    tokens_per_message: int = 10
    options: TurnOptions | None = None
    toolbox: Callable[[], Toolbox | None] = lambda: None


async def wait_until_still(app: Harness) -> None:
    """Wait until the screen no longer changes."""
    app.screen.input.cursor_blink = False
    for box in app.app.screen.query(Input):
        box.cursor_blink = False
        box._cursor_visible = True  # it may have been dark at that moment
    before = ""
    still = 0
    for _ in range(MAX_POLLS):
        await app.pilot.pause(POLL_INTERVAL_S)
        now = app.app.export_screenshot()
        still = still + 1 if now == before and not app.highlighter.is_working else 0
        before = now
        if still == STILL_POLLS:
            return


async def ask(app: Harness) -> None:
    """Take the first turn."""
    await app.turn(question())


async def begin(app: Harness, sign: str) -> None:
    """Start a turn that does not end, and wait for a text of it."""
    await app.say(question())
    await app.sees(sign)


def press(*keys: str) -> Act:
    """Return an act: the first turn, then key presses."""

    async def act(app: Harness) -> None:
        await ask(app)
        await app.pilot.press(*keys)

    return act


async def welcome(app: Harness) -> None:
    """Wait for the welcome."""
    await wait_until_still(app)


async def thinking(app: Harness) -> None:
    """Start a turn that stays in its thinking."""
    await begin(app, say("The user wants", "取第一个元素"))


async def answering(app: Harness) -> None:
    """Start a turn that stays in its answer."""
    await begin(app, "def quicksort")


async def loading(app: Harness) -> None:
    """Wait for the progress of the load."""
    await app.until(lambda: app.shows("42"))


async def reading(app: Harness) -> None:
    """Start a turn that stays in its prefill."""
    await begin(app, "512")


async def failed(app: Harness) -> None:
    """Start a turn in which the engine dies."""
    await app.say(question())
    await app.sees(say("killed", "终止"))
    await app.until(lambda: not app.screen.is_answering)


async def without_thinking(app: Harness) -> None:
    """Switch thinking off, then ask."""
    await app.pilot.press("ctrl+t")
    await app.until(lambda: app.session.mode is ThinkingMode.NO_THINK)
    await ask(app)


async def several_chats(app: Harness) -> None:
    """Create three chats."""
    titles = say("Quicksort|Names for a cat|Trip to Hangzhou", "快速排序|给猫起名字|杭州三日游").split("|")
    for title in titles:
        await app.turn(title)
        await app.pilot.press("ctrl+n")


async def chats(app: Harness) -> None:
    """Open the list of chats."""
    await several_chats(app)
    await app.pilot.press("ctrl+r")
    await app.until(lambda: app.app.screen is not app.screen)


async def search(app: Harness) -> None:
    """Search in the list of chats."""
    await chats(app)
    await app.pilot.press(*say("cat", "起名"))
    await app.pilot.pause(0.4)


async def sidebar(app: Harness) -> None:
    """Open the sidebar."""
    await several_chats(app)
    await app.pilot.press("ctrl+b")


async def versions(app: Harness) -> None:
    """Generate two versions of an answer."""
    await ask(app)
    await app.pilot.press("f5")
    await app.until(lambda: not app.screen.is_answering and app.shows("2/2"))


async def marked(app: Harness) -> None:
    """Mark a message."""
    await ask(app)
    await app.pilot.press("ctrl+up")


async def scrolled_up(app: Harness) -> None:
    """Scroll up while there is new text below."""
    await ask(app)
    await app.pilot.press("ctrl+home")
    app.screen.transcript.following = False
    app.screen.transcript.unseen = True
    await wait_until_still(app)


async def typing(app: Harness) -> None:
    """Type several lines."""
    app.screen.input.text = say("First line\nSecond line\n- third", "第一行\n第二行\n- 第三行")
    app.screen.input.move_cursor(app.screen.input.document.end)


async def commands(app: Harness) -> None:
    """Type the beginning of a command."""
    await app.pilot.press("slash", "e")


async def pasted(app: Harness) -> None:
    """Paste a long text."""
    app.screen.input.post_message(Paste("\n".join(f"line {number}" for number in range(10_000))))
    await app.until(lambda: bool(app.screen.input.attachments))


async def palette(app: Harness) -> None:
    """Search in the palette."""
    await app.pilot.press("ctrl+p")
    await app.pilot.press(*say("exp", "导出"))
    await app.pilot.pause(0.5)


async def too_full(app: Harness) -> None:
    """Send a message to a chat that no longer fits into the context."""
    await app.turn(question())
    await app.turn(say("Thank you.", "谢谢。"))
    await app.say(say("And mergesort?", "那归并排序呢？"))
    await app.until(lambda: app.app.screen is not app.screen)


async def left_out(app: Harness) -> None:
    """Let the oldest messages be dropped."""
    await too_full(app)
    await app.pilot.press("enter")
    await app.until(lambda: app.app.screen is app.screen and not app.screen.is_answering)


def compared(app: Harness) -> Comparison:
    """Return a comparison of two answers, one of them the chat's."""
    reply = app.session.messages[-1]
    other = replace(reply, message=replace(reply.message, content=say("Use `sorted`.", "用 `sorted`。")))
    entrants = (Entrant("Qwen3-8B Q4_K_M", mode, "") for mode in ThinkingMode)
    answers = tuple(map(ComparedAnswer, entrants, (reply, other)))
    return Comparison(1, reply.chat_id, reply.parent_id, reply.id, answers)


async def comparison(app: Harness) -> None:
    """Show two answers to be voted about."""
    await ask(app)
    value = compared(app)
    nothing = ComparisonActions(lambda verdict, winner: None, lambda: None)
    screen = ComparisonScreen(question(), value, nothing, app.highlighter)
    await app.app.push_screen(screen)
    screen.show_answers(value, {})


async def comparison_result(app: Harness) -> None:
    """Show the names after the vote."""
    await comparison(app)
    screen = app.app.screen
    assert isinstance(screen, ComparisonScreen)
    tally = Tally(("Qwen3-8B Q4_K_M", "think"), ("Qwen3-8B Q4_K_M", "no_think"), 14, 3, 0)
    value = replace(compared(app), verdict=VoteOutcome.BEST, winner=0)
    screen.show_result(value, [tally_sentence(tally)])


WAIT = asyncio.Event

SCENES: dict[str, Scene] = {
    "welcome": Scene(welcome),
    "conversation": Scene(ask),
    "unfolded": Scene(press("ctrl+o")),
    "thinking": Scene(thinking, lambda: [[thought(), WAIT()]]),
    "answering": Scene(answering, lambda: [[thought(), AnswerDelta(CODE[:150], 40), WAIT()]]),
    "loading": Scene(loading, loading=lambda: [LoadProgressed(0.42), WAIT()]),
    "reading": Scene(reading, lambda: [[PrefillProgressed(512, 2048, 0), WAIT()]]),
    "failed": Scene(failed, lambda: [[thought(), EngineFailed("engine.killed")]]),
    "stopped": Scene(ask, lambda: [[thought(), AnswerDelta("…", 1), finished(StopReason.CANCELLED)]]),
    "without thinking": Scene(without_thinking, lambda: [[answer(), finished(mode=ThinkingMode.NO_THINK)]]),
    "chats": Scene(chats),
    "search": Scene(search),
    "sidebar": Scene(sidebar),
    "versions": Scene(versions, lambda: [whole(), whole()]),
    "marked": Scene(marked),
    "code blocks": Scene(press("ctrl+up", "b")),
    "scrolled up": Scene(scrolled_up),
    "typing": Scene(typing),
    "commands": Scene(commands),
    "pasted": Scene(pasted),
    "help": Scene(press("f1")),
    "palette": Scene(palette),
    "settings": Scene(press("f12")),
    "comparison": Scene(comparison),
    "comparison result": Scene(comparison_result),
    "too full": Scene(too_full, tokens_per_message=200),
    "left out": Scene(left_out, tokens_per_message=200),
}


TOOL_SCENES: dict[str, Scene] = {
    name: Scene(act, parts, options=tool_scenes.OPTIONS, toolbox=tool_scenes.toolbox)
    for name, act, parts in (
        ("tool picker", tool_scenes.picker, list),
        ("consent", tool_scenes.ask, tool_scenes.calling),
        ("call running", tool_scenes.run, lambda: tool_scenes.calling(url=f"{tool_scenes.ADDRESS}wait")),
        ("call folded", tool_scenes.allow, tool_scenes.calling),
        ("call unfolded", tool_scenes.unfold, tool_scenes.calling),
        ("call failed", tool_scenes.allow, lambda: tool_scenes.calling(url=f"{tool_scenes.ADDRESS}none")),
        ("call denied", tool_scenes.refuse, tool_scenes.calling),
        ("call repaired", tool_scenes.ask, lambda: tool_scenes.calling(is_repaired=True)),
        ("server down", tool_scenes.servers, list),
        ("plot", tool_scenes.plot, lambda: tool_scenes.calling("python", code=tool_scenes.CODE)),
    )
}
SCENES |= TOOL_SCENES


def engine_for(scene: Scene) -> FakeEngine:
    """Return the engine that plays a scene."""
    return FakeEngine(*scene.parts(), loading=scene.loading(), tokens_per_message=scene.tokens_per_message)
