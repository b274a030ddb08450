"""A desk over a made-up machine, with the real downloads, from a hub on the loopback."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qwen3_chat.engine import Engine
from qwen3_chat.fit import Machine
from qwen3_chat.hardware import Hardware, Ram, SystemGpu
from qwen3_chat.hub import HubFile, ModelPulled, Patience, WantedModel, pull
from qwen3_chat.hub.pull import Report
from qwen3_chat.hub.sources import HuggingFace
from qwen3_chat.library import places_from
from qwen3_chat.session import EngineChoice, LocalModel
from qwen3_chat.shelf import Downloads, ModelDesk, ServerRow
from qwen3_chat.sizes import GIB
from tests.fakes import FakeEngine
from tests.fit.machines import cpu
from tests.hub.command import NOBODY
from tests.hub.conftest import IMPATIENT
from tests.hub.fake_hub import FakeHub, sha256

REPOSITORY = "unsloth/Qwen3-0.6B-GGUF"
FILE = "Qwen3-0.6B-Q8_0.gguf"
SMALL = ("0.6B", "Q8_0")
"""The model that the hub serves; what is in its file does not matter here."""


@dataclass
class Desk:
    """What a test gives to the interface, with what it chose."""

    folder: Path
    machine: Machine = field(default_factory=lambda: cpu(16))
    hub: FakeHub | None = None
    payload: bytes = b""
    patience: Patience = IMPATIENT
    gpus: tuple[SystemGpu, ...] = ()
    servers: tuple[ServerRow, ...] = ()
    made: Callable[[EngineChoice], Engine] = lambda choice: FakeEngine()
    chosen: list[EngineChoice] = field(default_factory=list)

    def desk(self) -> ModelDesk:
        return ModelDesk(
            look=self._look,
            folder=self.folder / "models",
            places=places_from({}, self.folder / "home"),
            downloads=downloads_from(self.hub, self.folder / "models", self.payload, self.patience),
            make_engine=self._make,
            demo=LocalModel(Path("demo.gguf")),
            servers=self._servers,
            stated=lambda _: self.machine,
        )

    async def _servers(self) -> AsyncGenerator[Sequence[ServerRow], None]:
        yield self.servers

    async def _look(self) -> Hardware:
        return Hardware("A processor", 8, Ram(32 * GIB, 16 * GIB), gpus=self.gpus)

    def _make(self, choice: EngineChoice) -> Engine:
        self.chosen.append(choice)
        return self.made(choice)


def downloads_from(
    hub: FakeHub | None, folder: Path, payload: bytes = b"", patience: Patience = IMPATIENT
) -> Downloads:
    """Download by the real code; whatever is wanted, it is the file that the hub has."""
    hubs = (HuggingFace(hub.endpoint if hub else NOBODY),)
    file = HubFile(REPOSITORY, FILE, len(payload), sha256(payload))

    async def find(text: str) -> WantedModel:
        return WantedModel(*SMALL, (file,))

    async def fetch(wanted: WantedModel, report: Report) -> ModelPulled:
        return await pull(wanted, hubs, folder, report, patience=patience, reserve_bytes=0)

    return Downloads(find, fetch)


def installed(folder: Path, *names: str) -> None:
    """Put files with these names into the models folder."""
    for name in names:
        path = folder / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"GGUF")
