"""Where files belong on this system, with the settings that a user keeps there."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import msgspec

from qwen3_chat.errors import ConfigError
from qwen3_chat.texts import Language

APP = "qwen3-chat"


@dataclass(frozen=True, slots=True)
class Paths:
    """The app's folders; `QWEN3_CHAT_HOME` moves them all under one."""

    config: Path
    data: Path
    models: Path
    logs: Path
    exports: Path

    @property
    def settings_file(self) -> Path:
        """The settings, as TOML."""
        return self.config / "config.toml"

    @property
    def themes(self) -> Path:
        """The user's own themes."""
        return self.config / "themes"

    @property
    def chats_file(self) -> Path:
        """The store."""
        return self.data / "chats.db"

    @property
    def engine_log(self) -> Path:
        """What llama.cpp says; no text of a chat."""
        return self.logs / "engine.log"


def expanded(folder: str) -> Path:
    """Read a path in which `~` may stand for a home folder.

    Raises:
        ConfigError: there is no such user.
    """
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise ConfigError("config.no_home", folder=folder) from error


def paths_from(environ: Mapping[str, str] = os.environ) -> Paths:
    """Find the folders; nothing is made."""
    if home := environ.get("QWEN3_CHAT_HOME"):
        root = expanded(home).absolute()
        return Paths(root / "config", root / "data", root / "models", root / "logs", root / "exports")
    from platformdirs import PlatformDirs  # here: `--version` does not need it

    system = PlatformDirs(APP, appauthor=False)
    data = Path(system.user_data_dir)
    return Paths(
        config=Path(system.user_config_dir),
        data=data,
        models=data / "models",
        logs=Path(system.user_log_dir),
        exports=Path(system.user_documents_dir) / APP,
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user chose; every field has a default that suits most."""

    language: Language | None = None
    theme: str = "qwen-dark"
    thinking_display: Literal["auto", "open", "closed"] = "auto"
    model: str | None = None
    system_prompt: str = ""
    presence_penalty: float | None = None
    export_folder: str | None = None
    model_folders: tuple[str, ...] = ()

    @property
    def exports(self) -> Path | None:
        """The export folder as a path."""
        return None if self.export_folder is None else expanded(self.export_folder)


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings, with a sentence for each entry that could not be used."""

    settings: Settings
    problems: tuple[ConfigError, ...] = ()


def load_settings(file: Path) -> LoadedSettings:
    """Read the settings; what is unknown or wrong is told and left at its default."""
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return LoadedSettings(Settings())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return LoadedSettings(Settings(), (ConfigError("config.unreadable", file=file, reason=error),))
    known = {field.name for field in fields(Settings)}
    accepted: dict[str, object] = {}
    problems: list[ConfigError] = []
    for key, value in table.items():
        if key not in known:
            problems.append(ConfigError("config.unknown_key", file=file, entry=key))
            continue
        try:
            msgspec.convert({key: value}, Settings)
        except msgspec.ValidationError as error:
            problems.append(ConfigError("config.wrong_value", file=file, entry=key, reason=error))
            continue
        accepted[key] = value
    return LoadedSettings(msgspec.convert(accepted, Settings), tuple(problems))


def save_setting(file: Path, key: str, value: str | float) -> None:
    """Change one setting and leave the rest of the file, comments included, as it is.

    Raises:
        ConfigError: the file can't be read or written.
    """
    import tomlkit  # here: only needed when something is changed

    try:
        file = file.resolve()  # a link to somewhere else stays a link
        file.parent.mkdir(parents=True, exist_ok=True)
        document = tomlkit.parse(file.read_text(encoding="utf-8")) if file.exists() else tomlkit.document()
        document[key] = value
        draft = file.with_name(f"{file.name}.{os.getpid()}.tmp")
        draft.write_text(tomlkit.dumps(document), encoding="utf-8")
        draft.replace(file)
    except (OSError, ValueError) as error:
        raise ConfigError("config.unwritable", file=file, reason=error) from error
