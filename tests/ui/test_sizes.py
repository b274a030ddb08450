"""Every dialog at every size in both languages: its key line and the end of its content can be seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from textual.containers import VerticalScroll
from textual.geometry import Region
from textual.screen import Screen
from textual.scroll_view import ScrollView
from textual.widget import Widget
from textual.widgets import Input

from qwen3_chat.chat import ToolCall
from qwen3_chat.documents.chat_files import ChatFile
from qwen3_chat.events import AnswerDelta
from qwen3_chat.mcp.forms import FieldKind, FormField, FormRequested, sign_in_form
from qwen3_chat.mcp.server_administration import ListedServer, ServerAdministration
from qwen3_chat.mcp.server_status import McpState
from qwen3_chat.mcp.tool_list import ListedPermission, ListedTool, ToolKind, ToolList, ToolState
from qwen3_chat.session import ContextExceeded
from qwen3_chat.texts import Language, set_language
from qwen3_chat.tools.consent import ConsentRequest
from qwen3_chat.tools.permissions import Permission, PermissionScope
from qwen3_chat.tools.tool import Arguments, Tool
from qwen3_chat.ui.screens.chat_files_screen import ChatFilesScreen
from qwen3_chat.ui.screens.consent_screen import ConsentScreen, TypedOn
from qwen3_chat.ui.screens.context_choice_screen import ContextChoiceScreen
from qwen3_chat.ui.screens.file_name_screen import FileNameScreen
from qwen3_chat.ui.screens.form_screen import FormScreen
from qwen3_chat.ui.screens.mcp_servers_screen import AddServerScreen, McpServersScreen, ServerLogScreen
from qwen3_chat.ui.screens.model_picker_screen import ModelPickerScreen
from qwen3_chat.ui.screens.prompts_screen import PromptsScreen
from qwen3_chat.ui.screens.tools_screen import ToolsScreen
from qwen3_chat.ui.widgets.key_bar import KeyBar
from tests.fakes import FakeEngine, finished
from tests.harness import Harness, make_catalogue, open_app
from tests.models.picker.picker_fixture import PickerFixture

SIZES = ((60, 18), (80, 24), (120, 40), (200, 60))
SMALLEST = (40, 12)
FIXED = (VerticalScroll, ScrollView, KeyBar, Input)
"""What must be on the screen as a whole; what it contains may be scrolled."""

CODE = "".join(f"```python\nprint({number})\n```\n\n" for number in range(30))


def key(*keys: str) -> Callable[[Harness], Awaitable[None]]:
    async def press(app: Harness) -> None:
        await app.pilot.press(*keys)

    return press


async def prompts(app: Harness) -> None:
    await app.pilot.press("ctrl+l")
    await app.until(lambda: app.app.screen is not app.screen)
    await app.pilot.press("ctrl+l")
    await app.until(lambda: isinstance(app.app.screen, PromptsScreen))


async def models(app: Harness) -> None:
    await app.pilot.press("f7")
    await app.until(lambda: isinstance(app.app.screen, ModelPickerScreen) and app.app.screen.lines)


async def code_blocks(app: Harness) -> None:
    await app.pilot.press("ctrl+up", "b")


async def context_choice(app: Harness) -> None:
    app.app.push_screen(ContextChoiceScreen(ContextExceeded(120_000, 8_192, 32_768, 40, 131_072)))


async def consent(app: Harness) -> None:
    async def run(_: Arguments) -> str:
        return ""

    call = ToolCall("fetch", '{"url": "https://example.com/' + "a" * 3_000 + '"}')
    scopes = (PermissionScope.TOOL, PermissionScope.ARGUMENTS, PermissionScope.HOST)
    permissions = tuple(Permission("fetch", "", scope, "https://example.com") for scope in scopes)
    request = ConsentRequest(Tool("fetch", "", {"type": "object"}, run), call, permissions)
    typed_on = TypedOn(app.screen.input.insert, app.screen.input.paste, app.screen.input.action_delete_left)
    app.app.push_screen(ConsentScreen(request, lambda _: None, typed_on, lambda: None))


async def form(app: Harness) -> None:
    fields = tuple(
        FormField(f"field{n}", f"Field {n}", FieldKind.TEXT, "About " * 10, n == 0) for n in range(20)
    )
    app.app.push_screen(FormScreen(FormRequested(1, "web", "What is needed? " * 40, fields), lambda _: None))


async def address(app: Harness) -> None:
    request = FormRequested(1, "web", "", url=f"https://example.com/{'long/' * 200}end", is_sign_in=True)
    app.app.push_screen(FormScreen(sign_in_form(request), lambda _: None))


async def files(app: Harness) -> None:
    listed = [ChatFile(f"plots/{'long ' * 30}{n}.png", Path("x"), 9_000 * n, 0.0, True) for n in range(40)]
    app.app.push_screen(ChatFilesScreen(listed))


async def tools(app: Harness) -> None:
    given = ListedPermission(Permission("", "", PermissionScope.HOST, "https://example.com"), False)
    parts = tuple(
        ListedTool(f"mcp:all.{n}", ToolKind.MCP, ToolState.NOT_STARTED, 90, about="word " * 90)
        for n in range(20)
    )
    server = ListedTool("mcp:all", ToolKind.MCP, ToolState.NOT_STARTED, 1_800, parts=parts)
    clock = ListedTool("now", ToolKind.BUILT_IN, ToolState.READY, 90, permissions=(given,))
    listed = ToolList((clock, server))
    app.app.push_screen(ToolsScreen(listed, ("mcp:all",), lambda _: 0, lambda: listed))


def administration() -> ServerAdministration:
    catalogue = make_catalogue(Path())
    assert catalogue.administration is not None
    return catalogue.administration


async def servers(app: Harness) -> None:
    listed = [
        ListedServer(
            f"server{n}",
            state,
            "/a/long/path " * 40,
            ("a_tool",) * 20,
            3_000,
            "A title",
            "2026-07-28",
            "It has failed. " * 50,
            (Permission("", "", PermissionScope.HOST, "https://example.com"),),
            has_log=True,
        )
        for n, state in enumerate(McpState)
    ]
    app.app.push_screen(McpServersScreen(listed, administration()))


async def new_server(app: Harness) -> None:
    app.app.push_screen(AddServerScreen(administration()))


async def server_log(app: Harness) -> None:
    app.app.push_screen(ServerLogScreen("web", "/a/long/folder" * 9, "A long line. " * 30 + "\n" * 90))


async def file_name(app: Harness) -> None:
    app.app.push_screen(FileNameScreen("code.py", Path("/a/long/folder" * 9)))


DIALOGS: dict[str, Callable[[Harness], Awaitable[None]]] = {
    "help": key("f1"),
    "settings": key("f12"),
    "chats": key("ctrl+r"),
    "chat options": key("ctrl+l"),
    "prompts": prompts,
    "models": models,
    "code blocks": code_blocks,
    "context choice": context_choice,
    "consent": consent,
    "files": files,
    "tools": tools,
    "servers": servers,
    "new server": new_server,
    "server log": server_log,
    "form": form,
    "address": address,
    "export": key("ctrl+s"),
    "file name": file_name,
}


@pytest.fixture(params=[Language.EN, Language.ZH])
def language(request: pytest.FixtureRequest) -> Iterator[Language]:
    set_language(request.param)
    yield request.param
    set_language(Language.EN)


def is_scrolled(widget: Widget, screen: Screen[object]) -> bool:
    """Return True if a container around a widget scrolls it."""
    return any(isinstance(node, VerticalScroll) for node in widget.ancestors if node is not screen)


def is_shown(widget: Widget) -> bool:
    return all(node.display for node in (widget, *widget.ancestors) if isinstance(node, Widget))


def hidden_parts(app: Harness) -> list[str]:
    """Return the widgets of the open dialog of which a part can't be seen, whatever one scrolls to."""
    screen = app.app.screen
    shown = [widget for widget in screen.walk_children(Widget) if is_shown(widget)]
    scrolling = [widget for widget in shown if isinstance(widget, VerticalScroll | ScrollView)]
    found = []
    for widget in shown:
        geometry = screen.find_widget(widget)
        if (
            isinstance(widget, FIXED)
            and not is_scrolled(widget, screen)
            and not whole(geometry.region, geometry.visible_region)
        ):
            found.append(f"{widget!r} {geometry.region} seen {geometry.visible_region}")
        if isinstance(widget, VerticalScroll) and widget.children:
            last = max(child.virtual_region.bottom for child in widget.children if child.display)
            if last > widget.max_scroll_y + widget.scrollable_content_region.height:
                found.append(f"{widget!r}: row {last} is not reached")
    (bar,) = [widget for widget in shown if isinstance(widget, KeyBar)]
    for widget in (widget for widget in scrolling if not is_scrolled(widget, screen)):
        if screen.find_widget(widget).visible_region.overlaps(bar.region):
            found.append(f"{widget!r} covers the keys")
    frames = [node for node in bar.ancestors if isinstance(node, Widget) and node.styles.border_bottom[0]]
    is_framed = any(frame.content_region.contains_region(bar.region) for frame in frames)
    if not is_framed and not (isinstance(screen, ConsentScreen) and app.app.size.height < 18):
        found.append("the keys stand in no frame")
    row = "".join(app.rows()[bar.region.y : bar.region.y + 1])
    if "Esc" not in row and not isinstance(screen, ConsentScreen):
        found.append(f"no Esc in {row!r}")
    return found


def whole(region: Region, visible: Region) -> bool:
    return visible == region and region.area > 0


@pytest.mark.parametrize(
    "sizes",
    [SIZES[:1], pytest.param((*SIZES[1:], SMALLEST), marks=pytest.mark.full)],
    ids=["small", "others"],
)
async def test_each_dialog_shows_its_key_line_and_its_end(
    tmp_path: Path, language: Language, sizes: tuple[tuple[int, int], ...]
) -> None:
    picker = PickerFixture(tmp_path)
    engine = FakeEngine([AnswerDelta(CODE), finished()])
    found = []
    async with open_app(tmp_path, engine, sizes[0], model_picker=picker.model_picker()) as app:
        await app.turn("Hello")
        app.screen.transcript.to_end()
        for name, open_dialog in DIALOGS.items():
            for size in sizes:
                await app.pilot.resize_terminal(*size)
                if app.app.screen is app.screen:
                    await open_dialog(app)
                    await app.until(lambda: app.app.screen is not app.screen)
                await app.pilot.pause(0.05)
                found += [f"{name} {size}: {part}" for part in hidden_parts(app)]
            while app.app.screen is not app.screen:
                app.app.pop_screen()
                await app.pilot.pause()
            app.screen.transcript.marked = None
            app.screen.input.focus()
    assert found == []


@pytest.mark.parametrize("size", [(39, 24), (80, 11), (20, 5)])
async def test_a_dialog_that_can_not_be_shown_says_what_it_needs(
    tmp_path: Path, language: Language, size: tuple[int, int]
) -> None:
    picker = PickerFixture(tmp_path)
    needed = {Language.EN: "The window is", Language.ZH: "窗口太小"}[language]
    async with open_app(tmp_path, FakeEngine(), size, model_picker=picker.model_picker()) as app:
        for name in ("help", "settings", "models", "chat options"):
            await DIALOGS[name](app)
            await app.until(lambda: app.app.screen is not app.screen)
            await app.sees(needed)
            await app.pilot.press("escape")
            await app.until(lambda: app.app.screen is app.screen)


@pytest.mark.parametrize("size", [(80, 8), (40, 9), (20, 5)])
async def test_an_answer_is_seen_in_few_rows(tmp_path: Path, size: tuple[int, int]) -> None:
    engine = FakeEngine([AnswerDelta("The answer"), finished()])
    async with open_app(tmp_path, engine, size) as app:
        await app.turn("Hello")
        await app.sees("The answer")
        await app.pilot.press(*"Next")
        await app.sees("Next")
        await app.pilot.resize_terminal(80, 24)
        await app.sees("F1 Help")
