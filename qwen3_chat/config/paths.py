"""The app's folders and files on this system."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ConfigError

APP_NAME = "qwen3-chat"


class Paths(Struct, frozen=True):
    """The app's folders; `QWEN3_CHAT_HOME` moves them all into one."""

    config: Path
    data: Path
    models: Path
    logs: Path
    exports: Path

    @property
    def settings_file(self) -> Path:
        """The file of the settings, as TOML."""
        return self.config / "config.toml"

    @property
    def themes(self) -> Path:
        """The folder of the user's own themes."""
        return self.config / "themes"

    @property
    def chats_file(self) -> Path:
        """The database of the chats."""
        return self.data / "chats.db"

    @property
    def draft_file(self) -> Path:
        """The file of the draft for a chat that has not begun."""
        return self.data / "draft.json"

    @property
    def permissions_file(self) -> Path:
        """The file of the standing permissions of tools."""
        return self.data / "permissions.json"

    @property
    def builds(self) -> Path:
        """The folder of the builds of llama.cpp that `doctor --fix` fetched."""
        return self.data / "llama-cpp"

    @property
    def mcp_file(self) -> Path:
        """The file of the MCP servers, as other programs write it."""
        return self.config / "mcp.json"

    @property
    def mcp_pins_file(self) -> Path:
        """The file of the tools of MCP servers as they were when they were allowed."""
        return self.data / "mcp-tools.json"

    @property
    def mcp_tokens(self) -> Path:
        """The folder of what signing in to MCP servers has left, a private file each."""
        return self.data / "mcp-tokens"

    @property
    def interface_log_file(self) -> Path:
        """The log of the interface's process: failures that nobody foresaw; it contains no text of a chat."""
        return self.logs / "interface.log"

    @property
    def engine_log_file(self) -> Path:
        """The log of the engine's process and of llama.cpp; it contains no text of a chat."""
        return self.logs / "engine.log"


def expand_home(folder: str) -> Path:
    """Return an absolute path, with a `~` at its beginning replaced by the home folder.

    Raises:
        ConfigError: there is no such user, or no folder that the path is relative to.
    """
    try:
        return Path(folder).expanduser().absolute()
    except (RuntimeError, OSError) as error:  # no such user; a relative path in a folder that was deleted
        raise ConfigError(ErrorCode.HOME_FOLDER_MISSING, folder=folder) from error


def secret_paths(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return the files and folders of other programs that hold keys; none of them need exist."""
    home = Path.home()
    hub = Path(environ.get("HF_HOME", home / ".cache" / "huggingface"))
    names = (".ssh", ".gnupg", ".aws", ".netrc", ".git-credentials", ".modelscope", ".config/gh", ".kube")
    return (hub / "token", hub / "stored_tokens", *(home / name for name in names))


def find_paths(environ: Mapping[str, str] = os.environ) -> Paths:
    """Return the folders, without making any."""
    if home := environ.get("QWEN3_CHAT_HOME"):
        root = expand_home(home)
        return Paths(root / "config", root / "data", root / "models", root / "logs", root / "exports")
    from platformdirs import PlatformDirs  # here: `--version` does not need it

    system = PlatformDirs(APP_NAME, appauthor=False)
    data = Path(system.user_data_dir)
    return Paths(
        config=Path(system.user_config_dir),
        data=data,
        models=data / "models",
        logs=Path(system.user_log_dir),
        exports=Path(system.user_documents_dir) / APP_NAME,
    )
