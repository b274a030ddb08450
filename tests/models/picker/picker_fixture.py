"""A model picker over an invented machine, with the real downloads from a hub on the loopback."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qwen3_chat.config import read_settings
from qwen3_chat.config.settings_store import SettingsStore
from qwen3_chat.engine import Engine
from qwen3_chat.models.catalog import ModelReference
from qwen3_chat.models.fit import Machine
from qwen3_chat.models.hardware import Hardware, SystemGpu, SystemRam
from qwen3_chat.models.hub import HubFile, ModelPulled, PullTarget, RetryPolicy, pull_target
from qwen3_chat.models.hub.model_pull import PullEventSink
from qwen3_chat.models.hub.sources import HuggingFace
from qwen3_chat.models.library import find_model_dirs
from qwen3_chat.models.picker import Downloads, ModelPicker, ServerRow
from qwen3_chat.models.picker.draft_choice import DraftSetting
from qwen3_chat.session import EngineChoice, LocalModel
from qwen3_chat.texts.formatting import GIB
from tests.fakes import FakeEngine
from tests.models.fit.machines import cpu
from tests.models.hub.conftest import FAST_RETRIES
from tests.models.hub.fake_hub import FakeHub, sha256
from tests.models.hub.pull_program import UNREACHABLE_ENDPOINT

REPOSITORY = "unsloth/Qwen3-0.6B-GGUF"
FILE = "Qwen3-0.6B-Q8_0.gguf"
SMALL = ("0.6B", "Q8_0")
"""The model that the hub serves, whatever bytes its file has."""
SMALL_MACHINE = Machine(5 * GIB // 2, 100 * 10**9)
"""A machine to which that model is the best offer."""


@dataclass
class PickerFixture:
    """The parts of a model picker for a test, with the choices that the interface made."""

    folder: Path
    machine: Machine = field(default_factory=lambda: cpu(16))
    hub: FakeHub | None = None
    payload: bytes = b""
    retry_policy: RetryPolicy = FAST_RETRIES
    gpus: tuple[SystemGpu, ...] = ()
    servers: tuple[ServerRow, ...] = ()
    engine_factory: Callable[[EngineChoice], Engine] = lambda choice: FakeEngine()
    choices: list[EngineChoice] = field(default_factory=list)
    named_draft: str | None = None

    @property
    def settings_store(self) -> SettingsStore:
        """The settings of the picker, stored where the app of a test has its own."""
        return self._settings_store

    def __post_init__(self) -> None:
        file = self.folder / "config.toml"
        self._settings_store = SettingsStore(read_settings(file).settings, file)

    def model_picker(self) -> ModelPicker:
        return ModelPicker(
            probe=self._probe,
            folder=self.folder / "models",
            model_dirs=find_model_dirs({}, self.folder / "home"),
            downloads=make_downloads(self.hub, self.folder / "models", self.payload, self.retry_policy),
            make_engine=self._make,
            demo=LocalModel(Path("demo.gguf")),
            servers=self._servers,
            override_machine=lambda _: self.machine,
            drafts=DraftSetting(self._settings_store, self.named_draft),
        )

    async def _servers(self) -> AsyncGenerator[Sequence[ServerRow], None]:
        yield self.servers

    async def _probe(self) -> Hardware:
        return Hardware("A processor", 8, SystemRam(32 * GIB, 16 * GIB), gpus=self.gpus)

    def _make(self, choice: EngineChoice) -> Engine:
        self.choices.append(choice)
        return self.engine_factory(choice)


def make_downloads(
    hub: FakeHub | None, folder: Path, payload: bytes = b"", retry_policy: RetryPolicy = FAST_RETRIES
) -> Downloads:
    """Return downloads by the real code; every reference means the file that the hub has."""
    hubs = (HuggingFace(hub.endpoint if hub else UNREACHABLE_ENDPOINT),)
    file = HubFile(REPOSITORY, FILE, len(payload), sha256(payload))

    async def resolve(reference: ModelReference) -> PullTarget:
        return PullTarget(*SMALL, (file,))

    async def pull(target: PullTarget, on_event: PullEventSink) -> ModelPulled:
        return await pull_target(target, hubs, folder, on_event, retry_policy=retry_policy, reserve_bytes=0)

    return Downloads(resolve, pull)


def install_files(folder: Path, *names: str) -> None:
    """Write files with these names into the models folder."""
    for name in names:
        path = folder / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"GGUF")
