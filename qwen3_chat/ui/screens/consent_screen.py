"""The question to the user whether a call may run: its arguments, to be read and changed, and the answers."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from msgspec import Struct
from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static, TextArea

from qwen3_chat.errors import UsageError
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR
from qwen3_chat.texts.terminal_safe import label_of_name
from qwen3_chat.tools.consent import ConsentAnswer, ConsentRequest
from qwen3_chat.tools.permissions import Permission, PermissionScope
from qwen3_chat.tools.shown_arguments import format_arguments, show_arguments
from qwen3_chat.tools.tool_runner import edit_request
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.textual_compat import MAX_LINE_CHARACTERS
from qwen3_chat.ui.widgets.key_bar import KeyBar
from qwen3_chat.ui.widgets.text_rows import TextRows

QUIET_S = 0.5
"""The time without a key after which keys answer, in seconds."""

ONCE_KEY, REFUSE_KEY = "1", "0"
SCOPE_KEYS: Final = {
    PermissionScope.TOOL: "2",
    PermissionScope.ARGUMENTS: "3",
    PermissionScope.HOST: "4",
    PermissionScope.FOLDER: "4",
}
"""The key of the answer that gives a permission, by its scope."""

MAX_NAME_CHARS = 60
MAX_EDITED_CHARS = 20_000


class TypedOn(Struct, frozen=True):
    """The functions that pass on what is typed while keys don't answer: characters, a paste, a backspace."""

    insert: Callable[[str], object]
    paste: Callable[[str], object]
    erase: Callable[[], object]


class ConsentMode(StrEnum):
    """The use of the keys: to answer, to change the arguments, to write a reason."""

    ANSWERING = "answering"
    EDITING = "editing"
    REFUSING = "refusing"


class AnswerLine(Static):
    """A line with an answer and its key; a click gives it as well."""

    class Clicked(Message):
        """The message that an answer was clicked."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, key: str) -> None:
        super().__init__(markup=False)
        self._key = key

    def show(self, text: str) -> None:
        """Show the text of the answer; none hides the line."""
        self.display = bool(text)
        self.update(Content.assemble((self._key, "bold"), f"  {text}"))

    def on_click(self) -> None:
        """Post that the answer was clicked."""
        self.post_message(self.Clicked(self._key))


class ConsentScreen(Dialog[None]):
    """The question whether a call may run; `on_answer` gets the answer.

    Keys answer once none was pressed for half a second: whoever was writing a message goes on writing it. The
    frame shows from when on. Digits answer, also through an input method; Enter and Space never do.
    """

    BINDINGS = [
        key_binding("edit_arguments", "ctrl+e", "edit"),
        key_binding("use_arguments", "ctrl+s", "use", priority=True),
        key_binding("refuse", "enter", "refuse", priority=True),
        key_binding("leave", "escape", "leave", priority=True),
        key_binding("stop", "escape", "stop", priority=True),
    ]
    CLOSES_BY_CLICK = False
    DEFAULT_CSS = """
    ConsentScreen {
        align: center middle;
        #consent-box {
            width: 94%;
            max-width: 96;
            height: auto;
            max-height: 100%;
            border: round $foreground 40%;
            border-title-color: $foreground 65%;
            border-subtitle-color: $foreground 65%;
            background: $surface;
            &.-armed {
                border: heavy $primary;
                border-title-color: $primary;
                border-subtitle-color: $primary;
            }
        }
        #consent-arguments { max-height: 3; padding: 0 1; }
        #consent-answers {
            height: auto; padding: 0 1; border-top: solid $foreground 20%; color: $foreground 52%;
        }
        .-armed #consent-answers { color: $foreground; }
        .-armed AnswerLine:hover { background: $boost; }
        TextArea, TextArea:focus {
            height: 1fr; min-height: 4; border: none; background: $boost; padding: 0 1;
        }
        Input, Input:focus { height: 1; border: none; padding: 0 1; background: $boost; }
        #consent-note { height: auto; min-height: 1; padding: 0 1; color: $text-warning; }
        #consent-caution { height: auto; padding: 0 1; color: $text-warning; }
        KeyBar { background: $surface; }
        &.-short #consent-box { border-bottom: none; }
        &.-short #consent-answers { border-top: none; }
    }
    """

    def __init__(
        self,
        request: ConsentRequest,
        on_answer: Callable[[ConsentAnswer], None],
        typed_on: TypedOn,
        stop: Callable[[], None],
    ) -> None:
        super().__init__()
        self._first = self.request = request
        self._on_answer = on_answer
        self._typed_on = typed_on
        self._stop = stop
        self._mode = ConsentMode.ANSWERING
        self._problem = ""
        self._armed_at: float | None = None
        self._timer: Timer | None = None
        self._is_over = False
        self._arguments = TextRows(id="consent-arguments")
        self.editor = TextArea(highlight_cursor_line=False, tab_behavior="focus", compact=True)
        self._reason = Input(placeholder=t("ui.consent.reason"), max_length=MAX_LINE_CHARACTERS)
        self.answer_lines = {key: AnswerLine(key) for key in (ONCE_KEY, "2", "3", "4", REFUSE_KEY)}
        self._answers = Vertical(*self.answer_lines.values(), id="consent-answers")
        self._caution = Static(markup=False, id="consent-caution")
        self._note = Static(markup=False, id="consent-note")
        self._box = Vertical(
            self._arguments,
            self.editor,
            self._caution,
            self._answers,
            self._reason,
            self._note,
            KeyBar(),
            id="consent-box",
        )

    @property
    def is_armed(self) -> bool:
        """True while keys answer."""
        return self._armed_at is not None

    def compose(self) -> ComposeResult:
        """Lay out the arguments, the answers and the keys."""
        yield self._box

    def on_mount(self) -> None:
        """Show the call, and wait until nothing is typed."""
        self._show_request()
        self._set_mode(ConsentMode.ANSWERING)

    def close(self) -> None:
        """Close without an answer, at the latest when nothing covers the screen any longer."""
        self._is_over = True
        self.dismiss()

    # the half second

    def on_screen_resume(self) -> None:
        """Wait for silence again after another screen was on top."""
        if self._is_over:
            self.dismiss()
        else:
            self._disarm()

    def on_screen_suspend(self) -> None:
        """Give no answer by a key that is for another screen."""
        self._disarm()

    def _disarm(self) -> None:
        """Let no key answer until none was pressed for a while."""
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(QUIET_S, self._arm)
        self._armed_at = None
        self._show_state()

    def _arm(self) -> None:
        self._armed_at = Message().time  # by the clock of the keys: one pressed before is not for us
        self._show_state()

    def _may_answer(self, event: Message) -> bool:
        return (
            self._mode is ConsentMode.ANSWERING
            and self._armed_at is not None
            and event.time >= self._armed_at
            and not self._is_over
        )

    # keys

    def on_key(self, event: events.Key) -> None:
        """Answer by a digit; pass on what is typed to the message of the chat."""
        if self._mode is not ConsentMode.ANSWERING or self._is_over:
            return
        if event.key == "enter":
            self.notify(t("ui.consent.first"))
        character = event.character if event.is_printable else None
        if self._may_answer(event):
            if character is None:
                return
            if character in self.answer_lines and self.answer_lines[character].display:
                event.stop()
                self._give_answer(character)
                return
        self._disarm()
        if character is not None:
            event.stop()
            self._typed_on.insert(character)
        elif event.key == "backspace":
            event.stop()
            self._typed_on.erase()

    def on_paste(self, event: events.Paste) -> None:
        """Pass on a paste to the message of the chat."""
        if self._mode is ConsentMode.ANSWERING:
            event.stop()
            self._disarm()
            self._typed_on.paste(event.text)

    @on(AnswerLine.Clicked)
    def clicked(self, message: AnswerLine.Clicked) -> None:
        """Give the clicked answer."""
        if self._may_answer(message):
            self._give_answer(message.key)

    def _give_answer(self, key: str) -> None:
        if key == REFUSE_KEY and self.request.can_edit:
            self._set_mode(ConsentMode.REFUSING)
            return
        if key == REFUSE_KEY:  # no model waits for a reason
            self._end(ConsentAnswer(is_allowed=False))
            return
        arguments = None if self.request is self._first else self.request.call.arguments
        permission = None if key == ONCE_KEY else self._permission(key)
        self._end(ConsentAnswer(is_allowed=True, arguments=arguments, permission=permission))

    def _permission(self, key: str) -> Permission | None:
        return next((p for p in self.request.permissions if SCOPE_KEYS[p.scope] == key), None)

    def _end(self, answer: ConsentAnswer) -> None:
        self._is_over = True
        self._on_answer(answer)
        self.dismiss()

    # actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now."""
        match action:
            case "edit":
                return self._mode is ConsentMode.ANSWERING and self.is_armed and self.request.can_edit
            case "use":
                return self._mode is ConsentMode.EDITING
            case "refuse":
                return self._mode is ConsentMode.REFUSING
            case "leave":
                return self._mode is not ConsentMode.ANSWERING
            case "stop":
                return self._mode is ConsentMode.ANSWERING
            case _:
                return True

    def action_stop(self) -> None:
        """Stop the turn."""
        self._stop()

    def action_leave(self) -> None:
        """Go back to the answers; what was changed or written is dropped."""
        self._problem = ""
        self._set_mode(ConsentMode.ANSWERING)

    def action_edit(self) -> None:
        """Change the arguments, unless they are so long that each key would take a second."""
        arguments = format_arguments(self.request.call.arguments)
        if len(arguments) > MAX_EDITED_CHARS:
            self.notify(t("ui.consent.too_long", limit=f"{MAX_EDITED_CHARS:,}"), severity="warning")
            return
        self.editor.text = arguments
        self._set_mode(ConsentMode.EDITING)

    @work(exclusive=True, exit_on_error=False)
    async def action_use(self) -> None:
        """Go back to the answers with the changed arguments, or show what is wrong with them."""
        try:
            request = await edit_request(self._first, self.editor.text)
        except UsageError as error:
            self._problem = str(error)
            self._show_state()
            return
        self.request, self._problem = request, ""
        self._show_request()
        self._set_mode(ConsentMode.ANSWERING)

    def action_refuse(self) -> None:
        """Refuse, with the reason if one was written."""
        self._end(ConsentAnswer(is_allowed=False, reason=self._reason.value.strip()))

    # what is shown

    def _set_mode(self, mode: ConsentMode) -> None:
        self._mode = mode
        self.editor.display = mode is ConsentMode.EDITING
        self._arguments.display = mode is not ConsentMode.EDITING
        self._answers.display = mode is ConsentMode.ANSWERING
        self._reason.display = mode is ConsentMode.REFUSING
        match mode:
            case ConsentMode.ANSWERING:
                self._arguments.focus()
            case ConsentMode.EDITING:
                self.editor.focus()
            case ConsentMode.REFUSING:
                self._reason.clear()
                self._reason.focus()
        self._disarm()

    def _show_request(self) -> None:
        name = label_of_name(self.request.label)[:MAX_NAME_CHARS]
        title = [self._text("title", name=name)]
        if self.request is not self._first:
            title.append(t("ui.consent.edited"))
        self._box.border_title = Content(SEPARATOR.join(title))
        if self.request.count > 1:
            numbers = t("ui.consent.number", number=self.request.number, count=self.request.count)
            self._box.border_subtitle = Content(numbers)
        self._arguments.show(show_arguments(self.request.call.arguments) or t("ui.consent.no_arguments"))
        caution = self.request.caution
        self._caution.update(t(f"ui.consent.{caution}") if caution else "")
        self._caution.display = caution is not None
        self.answer_lines[ONCE_KEY].show(self._text("once"))
        for key in ("2", "3", "4"):
            permission = self._permission(key)
            self.answer_lines[key].show(
                self._text(permission.scope, name=name, limit=label_of_name(permission.value))
                if permission
                else ""
            )
        self.answer_lines[REFUSE_KEY].show(self._text("refuse"))

    def _text(self, key: str, **values: object) -> str:
        return t(self.request.text_key("ui.consent.", key), **values)

    def _show_state(self) -> None:
        """Show whether keys answer, with a note where there is something to know."""
        is_answering = self._mode is ConsentMode.ANSWERING
        self._box.set_class(self.is_armed or not is_answering, "-armed")
        note = self._problem
        if is_answering and not self.is_armed:
            note = t("ui.consent.typing")
        elif is_answering and self.request.call.is_repaired:
            note = t("ui.consent.repaired")
        self._note.update(note)
        self._note.display = is_answering or bool(note)  # its row stays, so that no answer moves
        self.refresh_bindings()
        self.call_after_refresh(self._fit_arguments)

    def on_resize(self) -> None:
        """Give the arguments the rows that there are now."""
        self.call_after_refresh(self._fit_arguments)

    def _fit_arguments(self) -> None:
        """Give the arguments the rows that the rest leaves, so that all answers are on the screen."""
        rest = sum(
            part.outer_size.height
            for part in self._box.children
            if part.display and part is not self._arguments
        )
        self._arguments.styles.max_height = max(1, self.size.height - rest - self._box.gutter.height)
