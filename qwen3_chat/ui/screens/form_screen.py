"""The form of an MCP server: fields to fill, or an address to visit, which never opens by itself."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from qwen3_chat.errors import UsageError
from qwen3_chat.mcp.forms import (
    MAX_FORM_VALUE_CHARS,
    FormAction,
    FormAnswer,
    FormField,
    FormRequested,
    parse_value,
    parse_values,
)
from qwen3_chat.texts import t
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.widgets.key_bar import KeyBar
from qwen3_chat.ui.widgets.text_rows import TextRows


class FormLine(Vertical):
    """A field: its title, the input, and what is needed or what is wrong with the value."""

    def __init__(self, field: FormField) -> None:
        super().__init__()
        self.field = field
        title = t("mcp.form.required", title=field.title) if field.is_required else field.title
        self._title = Static(Content.assemble((title, "bold"), f"  {field.about}"), markup=False)
        self.input = Input(field.first_text, max_length=MAX_FORM_VALUE_CHARS)
        self._expected = Static(field.expected, classes="expected", markup=False)

    def compose(self) -> ComposeResult:
        """Lay out the title, the input and the hint."""
        yield self._title
        yield self.input
        yield self._expected

    def check(self) -> bool:
        """Return whether the value is right; show what is wrong with it in place of the hint."""
        problem = ""
        try:
            parse_value(self.field, self.input.value)
        except UsageError as error:
            problem = str(error)
        self.input.set_class(bool(problem), "-wrong")
        self._expected.set_class(bool(problem), "-wrong")
        self._expected.update(problem or self.field.expected)
        return not problem


class FormScreen(Dialog[None]):
    """The form of a server; `on_answer` gets the answer.

    Only Ctrl+S sends, so nothing goes out by a key that was meant for a message of the chat.
    """

    BINDINGS = [
        key_binding("send_form", "ctrl+s", "send", priority=True),
        key_binding("open_address", "ctrl+o", "open", priority=True),
        key_binding("decline_form", "ctrl+d", "decline", priority=True),
        key_binding("cancel_form", "escape", "cancel", priority=True),
    ]
    DEFAULT_CSS = """
    FormScreen {
        align: center middle;
        #form-box {
            width: 94%;
            max-width: 84;
            height: auto;
            max-height: 100%;
            border: round $primary;
            border-title-color: $primary;
            background: $surface;
        }
        VerticalScroll { height: auto; max-height: 100%; padding: 0 1; }
        FormLine { height: auto; margin-top: 1; }
        Static { height: auto; }
        TextRows { max-height: 8; margin-top: 1; }
        Input, Input:focus { height: 1; border: none; padding: 0 1; background: $boost; }
        Input.-wrong { background: $error 30%; }
        .expected, #form-warning { color: $foreground 68%; }
        .expected.-wrong { color: $text-error; }
        #form-warning { margin-top: 1; }
        KeyBar { background: $surface; dock: bottom; }
    }
    """

    def __init__(
        self, request: FormRequested, on_answer: Callable[[FormAnswer], None], title: str = ""
    ) -> None:
        super().__init__()
        self._request = request
        self._on_answer = on_answer
        self._is_over = False
        self._form_title = title or t("mcp.form.title", name=request.server)
        self.form_lines = [FormLine(field) for field in request.fields]
        self._address = TextRows()
        warning = t("mcp.form.visit" if request.url else "mcp.form.warning", name=request.server)
        self._warning = Static(warning, markup=False, id="form-warning")

    def compose(self) -> ComposeResult:
        """Lay out the message, the fields or the address, and the keys."""
        with Vertical(id="form-box") as box:
            box.border_title = Content(self._form_title)
            with VerticalScroll(can_focus=False):
                yield Static(self._request.message, markup=False)
                yield self._warning
                if self._request.url:
                    yield self._address
                yield from self.form_lines
            yield KeyBar()

    def on_mount(self) -> None:
        """Focus the first field."""
        if self._request.url:
            self._address.show(self._request.url)
            self._address.focus()
        elif self.form_lines:
            self.form_lines[0].input.focus()

    def close(self) -> None:
        """Close without an answer, at the latest when nothing covers the screen any longer."""
        self._is_over = True
        self.dismiss()

    def on_screen_resume(self) -> None:
        """Close where the answer is no longer needed."""
        if self._is_over:
            self.dismiss()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible: only an address can be opened."""
        return bool(self._request.url) if action == "open" else True

    @on(Input.Changed)
    def check(self, message: Input.Changed) -> None:
        """Show what is wrong with a value while it is typed."""
        for line in self.form_lines:
            if line.input is message.input:
                line.check()

    @on(Input.Submitted)
    def entered(self) -> None:
        """Go to the next field."""
        self.focus_next()

    def action_send(self) -> None:
        """Send the values, unless one of them is wrong; for an address, say that it will be visited."""
        wrong = [line for line in self.form_lines if not line.check()]
        if wrong:
            wrong[0].input.focus()
            return
        texts = {line.field.name: line.input.value for line in self.form_lines}
        self._end(FormAnswer(FormAction.ACCEPT, parse_values(self._request.fields, texts)))

    def action_open(self) -> None:
        """Open the address in the browser."""
        self.app.open_url(self._request.url)

    def action_decline(self) -> None:
        """Decline."""
        self._end(FormAnswer(FormAction.DECLINE))

    def action_cancel(self) -> None:
        """Close without an answer to the question."""
        self._end(FormAnswer(FormAction.CANCEL))

    def _end(self, answer: FormAnswer) -> None:
        if not self._is_over:
            self._is_over = True
            self._on_answer(answer)
            self.dismiss()
