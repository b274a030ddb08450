"""The model that a server offers, as far as the server describes it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwen3_chat.engine.remote.server_features import SERVER_FEATURES
from qwen3_chat.request import LoadedModel
from qwen3_chat.servers import Endpoint, ServerKind

ASSUMED_N_CTX = 32768
"""Qwen3's own context, where the server doesn't say how much of it it grants."""

_QUANT = re.compile(r"[-._](?P<quant>I?Q\d\w*|BF16|F16|F32)$", re.IGNORECASE)
_ONE_MODE = re.compile(r"(?P<mode>thinking|instruct)-25\d\d", re.IGNORECASE)


def short_name(model_id: str) -> str:
    """Return what servers call a model, without folders and file ending."""
    return re.split(r"[/\\]", model_id.rstrip("/\\"))[-1].removesuffix(".gguf")


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """What the server said; 0 and empty texts are not told.

    `thinks_on_demand` says that the server knows the model's thinking. `message_start_id` is the token that begins
    each message of a prompt.
    """

    kind: ServerKind
    model_id: str
    n_ctx: int
    n_ctx_train: int = 0
    version: str = ""
    quant: str = ""
    architecture: str = ""
    parameters: int = 0
    size_bytes: int = 0
    n_ctx_is_known: bool = True
    thinks_on_demand: bool = True
    message_start_id: int | None = None

    @property
    def name(self) -> str:
        """The model's name without folders, file ending and quant."""
        return _QUANT.sub("", short_name(self.model_id)) or self.model_id

    @property
    def switches_thinking(self) -> bool:
        """Whether a request may say if it should think."""
        return self.thinks_on_demand and self.is_hybrid

    @property
    def is_hybrid(self) -> bool:
        """Whether its thinking can be switched: the models of July 2025 and later either think or don't."""
        return _ONE_MODE.search(self.model_id) is None

    @property
    def opens_thinking(self) -> bool:
        """Whether it is one of the models that always think, whose template opens the block."""
        found = _ONE_MODE.search(self.model_id)
        return found is not None and found["mode"].lower() == "thinking"

    @property
    def server(self) -> str:
        """The server's program with its version."""
        return " ".join(filter(None, (SERVER_FEATURES[self.kind].label, self.version)))

    def to_loaded_model(self, endpoint: Endpoint, name: str = "") -> LoadedModel:
        """Describe it like a model that runs here, on the server of that name or address."""
        where = name or endpoint.host
        found = _QUANT.search(self.model_id.removesuffix(".gguf"))
        return LoadedModel(
            name=self.name,
            quant=self.quant or (found["quant"].upper() if found else ""),
            path=endpoint.root,
            architecture=self.architecture,
            parameters=self.parameters,
            size_bytes=self.size_bytes,
            n_ctx=self.n_ctx,
            n_ctx_train=self.n_ctx_train or self.n_ctx,
            n_layers=0,
            n_gpu_layers=0,
            device=f"{self.server} · {where}",
            is_demo=False,
            engine=f"{SERVER_FEATURES[self.kind].label} · {where}",
        )
