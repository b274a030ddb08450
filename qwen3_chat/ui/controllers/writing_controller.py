"""Writing in the input: history, commands, completions, and attachments with their token counts."""

from __future__ import annotations

from asyncio import to_thread
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from textual.binding import Binding

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.documents.attachments import Attachment, fence_attachment, is_web_address
from qwen3_chat.documents.file_text import read_attachment
from qwen3_chat.errors import EngineError
from qwen3_chat.request import ChatRequest
from qwen3_chat.session import ChatSession
from qwen3_chat.store import ChatStore
from qwen3_chat.texts import Language, current_language, t
from qwen3_chat.texts.terminal_safe import label_of_name
from qwen3_chat.tools.allowed_folders import AllowedFolders
from qwen3_chat.ui.attachable_files import list_attachable_files
from qwen3_chat.ui.browser import list_allowed_files, read_allowed_attachment
from qwen3_chat.ui.command_names import command_words
from qwen3_chat.ui.completion import (
    CompletionKind,
    CompletionTrigger,
    PaletteCommand,
    command_by_name,
    matching_commands,
    matching_files,
    typed_command,
)
from qwen3_chat.ui.controllers.controller import ChatView, Controller, in_worker
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.key_bindings import APP_KEYS, CHAT_KEYS
from qwen3_chat.ui.screens.dialog import show_dialog
from qwen3_chat.ui.textual_compat import parse_action
from qwen3_chat.ui.widgets.attachment_bar import AttachmentTokens
from qwen3_chat.ui.widgets.chat_input import LONG_PASTE_CHARACTERS, LONG_PASTE_LINES
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets

if TYPE_CHECKING:
    from qwen3_chat.mcp.forms import FormAnswer, FormRequested
    from qwen3_chat.mcp.server_messages import ServerPrompt, ServerResource
    from qwen3_chat.mcp.server_texts import TextSource


class WritingController(Controller):
    """Commands, completions and attachments for the input."""

    def __init__(
        self,
        view: ChatView,
        session: ChatSession,
        widgets: ChatWidgets,
        store: ChatStore,
        texts: TextSource | None = None,
    ) -> None:
        """Make the controller; `texts` has the prompts and resources of servers."""
        super().__init__(view, session, widgets)
        self._texts = texts
        self.allowed_folders: AllowedFolders | None = None
        """The only folders of which files can be attached by name; None for every one, as in a terminal."""
        self._store = store
        self._files: list[str] | None = None
        """The files that can be attached, listed again with each `@`."""
        self._token_counts: dict[Attachment, AttachmentTokens] = {}

    @in_worker("history", exclusive=True)
    async def load_history(self) -> None:
        """Load the questions of other chats into the input's history."""
        with notify_errors(self._screen, "task.history"):
            self._widgets.input.remember_older(await self._store.latest_questions())

    # commands

    @property
    def commands(self) -> list[PaletteCommand]:
        """The palette's actions by their names in `[keys]`, Qwen3's tags of the modes, prompts of servers.

        In Chinese the actions have their labels for names, where no other action has the same.
        """
        tags = [PaletteCommand(mode.value, t(f"ui.tip.tag.{mode}"), mode) for mode in ThinkingMode]
        bindings = (*CHAT_KEYS, *APP_KEYS)
        labels = Counter(t(binding.description) for binding in bindings)
        return [
            *(_command(binding, labels[t(binding.description)] == 1) for binding in bindings),
            *tags,
            *(PaletteCommand(name, prompt.about) for name, prompt in self._prompts().items()),
        ]

    def _prompts(self) -> dict[str, ServerPrompt]:
        """Return the prompts of the servers that run, by their commands."""
        if self._texts is None or not (prompts := self._texts.prompts()):
            return {}
        from qwen3_chat.mcp.server_texts import prompt_command

        return {prompt_command(prompt): prompt for prompt in prompts}

    async def run_command(self, name: str) -> None:
        """Run a command by its name, or notify why it can't run."""
        screen = self._screen
        if (prompt := self._prompts().get(name)) is not None:
            self._widgets.input.clear()
            self._insert_prompt(name, prompt)
            return
        command = command_by_name(name, self.commands)
        binding = next((key for key in (*CHAT_KEYS, *APP_KEYS) if command and key.id == command.name), None)
        if binding is None:
            screen.notify(t("ui.command.unknown", name=name), severity="warning")
            return
        if not self._is_possible(binding):
            screen.notify(t("ui.command.not_now", name=name), severity="warning")
            return
        self._widgets.input.clear()
        await screen.app.run_action(binding.action, screen.app if binding in APP_KEYS else screen)

    def _is_possible(self, binding: Binding) -> bool:
        _, name, parameters = parse_action(binding.action)
        target = self._screen.app if binding in APP_KEYS else self._screen
        return bool(target.check_action(name, parameters))

    @in_worker("prompt", exclusive=True)
    async def _insert_prompt(self, name: str, prompt: ServerPrompt) -> None:
        """Write the text of a server's prompt into the input, once its arguments are filled in."""
        from qwen3_chat.mcp.server_texts import prompt_request

        assert self._texts is not None
        arguments: dict[str, str] | None = {}
        if prompt.arguments:
            arguments = await self._fill(prompt_request(prompt), f"/{name}")
        if arguments is None:
            return
        with notify_errors(self._screen, "task.prompt"):
            text = (await self._texts.prompt_text(prompt, arguments)).strip()
            chat_input = self._widgets.input
            if not text:
                self._screen.notify(t("ui.prompt.empty", name=name), severity="warning")
            elif text.count("\n") > LONG_PASTE_LINES or len(text) > LONG_PASTE_CHARACTERS:
                chat_input.attach(Attachment(name, text))
            else:
                chat_input.insert(text)
            chat_input.focus()

    async def _fill(self, request: FormRequested, title: str) -> dict[str, str] | None:
        """Return the values of a form; None where the user leaves it."""
        from qwen3_chat.ui.screens.form_screen import FormScreen

        answers: list[FormAnswer] = []
        await show_dialog(self._screen, FormScreen(request, answers.append, title))
        if not answers or answers[0].action != "accept":
            return None
        return {name: str(value) for name, value in answers[0].content.items()}

    # completions

    def complete(self, requested: CompletionTrigger | None) -> None:
        """Show the completions of the word at the cursor; None closes them."""
        match requested:
            case CompletionTrigger(kind=CompletionKind.COMMAND, typed=typed) as trigger:
                matches = matching_commands(typed, self.commands)
                self._widgets.completions.show_choices(
                    trigger, [(f"/{command.shown}", command.description) for command in matches]
                )
            case CompletionTrigger(kind=CompletionKind.FILE, typed=typed) as trigger if is_web_address(typed):
                self._widgets.completions.show_choices(trigger, [(typed, t("ui.completion.page"))])
            case CompletionTrigger(kind=CompletionKind.FILE) as trigger:
                if not trigger.typed or self._files is None:
                    self._list_files(trigger)
                else:
                    self._offer_files(trigger)
            case None:
                self._widgets.completions.close()

    @in_worker("files", exclusive=True)
    async def _list_files(self, trigger: CompletionTrigger) -> None:
        if self.allowed_folders is None:
            self._files = await to_thread(list_attachable_files, Path.cwd())
        else:
            self._files = await to_thread(list_allowed_files, self.allowed_folders)
        current = self._widgets.input.completion_trigger
        if current is not None and current.kind is trigger.kind:
            self._offer_files(current)

    def _offer_files(self, trigger: CompletionTrigger) -> None:
        resources = self._resources()
        matches = matching_files(trigger.typed, [*resources, *(self._files or ())])
        choices = [(path, resources[path].name if path in resources else "") for path in matches]
        self._widgets.completions.show_choices(trigger, choices)

    def _resources(self) -> dict[str, ServerResource]:
        """Return the resources of the servers that run, by the names by which they are chosen."""
        if self._texts is None or not (resources := self._texts.resources()):
            return {}
        from qwen3_chat.mcp.server_texts import resource_path

        return {resource_path(resource): resource for resource in resources}

    # attachments

    def attach(self, path: str) -> None:
        """Attach what was chosen: a file, a web page, or a resource of a server."""
        if (resource := self._resources().get(path)) is not None:
            self._attach_resource(resource)
        elif is_web_address(path):
            self._attach_page(path)
        elif self.allowed_folders is not None:
            self._attach_allowed(Path(path), self.allowed_folders)
        else:
            self.attach_file(Path(path))

    @in_worker("attach")
    async def _attach_resource(self, resource: ServerResource) -> None:
        from qwen3_chat.mcp.server_texts import read_resource

        assert self._texts is not None
        with notify_errors(self._screen, "task.attach"):
            self._widgets.input.attach(await read_resource(self._texts, resource))

    @in_worker("attach")
    async def _attach_page(self, url: str) -> None:
        """Fetch a page as the tool `fetch` does, and attach it, or notify why it can't be attached."""
        from qwen3_chat.tools.fetch_tool import read_page

        self._screen.notify(t("ui.notice.reading_page", address=label_of_name(url)))
        with notify_errors(self._screen, "task.attach_page"):
            self._widgets.input.attach(await read_page(url, self._view.settings.private_hosts))

    @in_worker("attach")
    async def attach_file(self, path: Path) -> None:
        """Read a file and attach it, or notify why it can't be attached."""
        with notify_errors(self._screen, "task.attach"):
            self._widgets.input.attach(await to_thread(read_attachment, path))

    @in_worker("attach")
    async def _attach_allowed(self, path: Path, folders: AllowedFolders) -> None:
        with notify_errors(self._screen, "task.attach"):
            self._widgets.input.attach(await to_thread(read_allowed_attachment, path, folders))

    def detach(self, attachment: Attachment) -> None:
        """Remove an attachment."""
        self._widgets.input.detach(attachment)
        self._widgets.input.focus()

    def show_attachments(self) -> None:
        """Show the attachments, and count the tokens of new ones."""
        attached = self._widgets.input.attachments
        self._token_counts = {key: count for key, count in self._token_counts.items() if key in attached}
        self._show_token_counts()
        self._count_tokens()

    def _show_token_counts(self) -> None:
        model = self._session.engine.model
        self._widgets.attachment_bar.show(
            self._widgets.input.attachments, self._token_counts, model.n_ctx if model else 0
        )

    def tick(self) -> None:
        """Count the tokens of what was attached before a model was ready."""
        if any(attachment not in self._token_counts for attachment in self._widgets.input.attachments):
            self._count_tokens()

    @in_worker("count", exclusive=True)
    async def _count_tokens(self) -> None:
        engine = self._session.engine
        for attachment in self._widgets.input.attachments:
            if engine.model is None or attachment in self._token_counts:
                continue
            try:
                counts = await engine.count_tokens(_request(fence_attachment(attachment)))
            except EngineError:
                return  # the turn itself reports what is wrong
            self._token_counts[attachment] = AttachmentTokens(counts.per_message[0], counts.exact)
            self._show_token_counts()


def _command(binding: Binding, has_own_label: bool) -> PaletteCommand:
    name = binding.id or ""
    is_labelled = has_own_label and current_language() is Language.ZH
    label = t(binding.description) if is_labelled else ""
    if typed_command(f"/{label}") != label:  # as it stands, it would be sent as a message
        label = ""
    return PaletteCommand(
        name, t(binding.tooltip), words=command_words(name, binding.description), label=label
    )


def _request(text: str) -> ChatRequest:
    """Return a request with one message, of which only the tokens are counted."""
    from qwen3_chat.models.catalog import sampling_for

    mode = ThinkingMode.NO_THINK
    return ChatRequest((ChatMessage(Role.USER, text),), mode, sampling_for(mode, is_demo=False), seed=0)
