"""Builds what the model screen works with."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from qwen3_chat.cli.machine import probed
from qwen3_chat.cli.options import ModelChoice
from qwen3_chat.cli.places import model_places
from qwen3_chat.cli.server_rows import server_rows
from qwen3_chat.cli.switching import engine_for
from qwen3_chat.config import Paths, Settings
from qwen3_chat.engine.local import LocalEngine
from qwen3_chat.fit import Machine
from qwen3_chat.hardware import Hardware, machine_like, probe
from qwen3_chat.hub import HubFile, ModelPulled, WantedModel, find_wanted, hubs_from, pull
from qwen3_chat.hub.patience import USUAL_PATIENCE
from qwen3_chat.hub.pull import Report
from qwen3_chat.library import DEMO_FILE, copies_of
from qwen3_chat.session import ChatSession, LocalModel
from qwen3_chat.shelf import Downloads, ModelDesk


def make_desk(session: ChatSession, started: ModelChoice, settings: Settings, paths: Paths) -> ModelDesk:
    """Make the desk; the machine is looked at through the engine that runs, whichever that is then."""
    hubs = hubs_from(os.environ)
    places = model_places(settings)

    async def fetch(wanted: WantedModel, report: Report) -> ModelPulled:
        def copies(file: HubFile) -> Iterable[Path]:
            return copies_of(file.name, file.size_bytes, file.sha256, places)

        return await pull(wanted, hubs, paths.models, report, copies)

    return ModelDesk(
        look=partial(_look, session, paths),
        folder=paths.models,
        places=places,
        downloads=Downloads(lambda text: find_wanted(text, hubs, USUAL_PATIENCE), fetch),
        make_engine=lambda choice: engine_for(choice, started, settings, paths),
        demo=LocalModel(DEMO_FILE),
        servers=partial(server_rows, paths.settings_file, started),
        stated=None if (started.vram, started.ram) == (None, None) else partial(_stated, started),
    )


def _stated(started: ModelChoice, this: Machine) -> Machine:
    return machine_like(started.vram, started.ram, this)


async def _look(session: ChatSession, paths: Paths) -> Hardware:
    engine = session.engine
    return await probe(engine.devices) if isinstance(engine, LocalEngine) else await probed(paths.engine_log)
