"""The model that a server offers, as far as the server describes it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwen3_chat.chat import ThinkingSupport
from qwen3_chat.engine.remote.server_features import SERVER_FEATURES, MissingFeature
from qwen3_chat.models.catalog import thinking_support
from qwen3_chat.models.gguf_names import QUANT_PATTERN
from qwen3_chat.record_copies import replace
from qwen3_chat.request import Capabilities, LoadedModel
from qwen3_chat.servers import Endpoint, ServerKind

_QUANT = re.compile(rf"[-._](?P<quant>{QUANT_PATTERN})$", re.IGNORECASE)


def short_name(model_id: str) -> str:
    """Return the server's name of a model without folders and file suffix."""
    return re.split(r"[/\\]", model_id.rstrip("/\\"))[-1].removesuffix(".gguf")


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model as the server describes it; 0 and empty texts stand for unknown values.

    `thinks_on_demand` is false if the server does not support the model's thinking. `message_start_id` is the
    token with which each message of a prompt begins, None if the server can't tokenise. `n_ctx_is_chosen` is
    true if the user chose the context, `refuses_budget` once the server has refused a limit for the thinking
    that others of its kind know.
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
    n_ctx_is_chosen: bool = False
    thinks_on_demand: bool = True
    message_start_id: int | None = None
    refuses_budget: bool = False

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of an engine on this server."""
        capabilities = SERVER_FEATURES[self.kind].capabilities
        return replace(
            capabilities,
            thinking_budget=self.budget_field is not None,
            context_option=""
            if self.n_ctx_is_chosen or not self.n_ctx_is_known
            else capabilities.context_option,
        )

    @property
    def budget_field(self) -> str | None:
        """The field of a request for the most tokens of thinking; None if the server takes none."""
        return None if self.refuses_budget else SERVER_FEATURES[self.kind].budget_field

    @property
    def missing_features(self) -> tuple[MissingFeature, ...]:
        """The features that this server lacks, as far as is known."""
        missing = SERVER_FEATURES[self.kind].missing_features
        lacks_budget = self.budget_field is None or MissingFeature.BUDGET in missing
        return tuple(
            f for f in MissingFeature if f in missing or (lacks_budget and f is MissingFeature.BUDGET)
        )

    @property
    def name(self) -> str:
        """The model's name without folders, file suffix and quant."""
        return _QUANT.sub("", short_name(self.model_id)) or self.model_id

    @property
    def switches_thinking(self) -> bool:
        """True if a request can switch the thinking on and off."""
        return self.thinks_on_demand and self.is_hybrid

    @property
    def is_hybrid(self) -> bool:
        """True if the model has both modes; those of July 2025 and later either always think or never."""
        return thinking_support(self.model_id) is None

    @property
    def opens_thinking(self) -> bool:
        """True if the model always thinks, in which case its template opens the think block."""
        return thinking_support(self.model_id) is ThinkingSupport.ALWAYS

    @property
    def server(self) -> str:
        """The name of the server's program with its version."""
        return " ".join(filter(None, (SERVER_FEATURES[self.kind].label, self.version)))

    def to_loaded_model(self, endpoint: Endpoint, name: str = "") -> LoadedModel:
        """Return the description of a loaded model, on the server of that name or address."""
        location = name or endpoint.host
        match = _QUANT.search(self.model_id.removesuffix(".gguf"))
        return LoadedModel(
            name=self.name,
            quant=self.quant or (match["quant"].upper() if match else ""),
            path=endpoint.root,
            architecture=self.architecture,
            parameters=self.parameters,
            size_bytes=self.size_bytes,
            n_ctx=self.n_ctx,
            n_ctx_train=self.n_ctx_train or self.n_ctx,
            n_layers=0,
            n_gpu_layers=0,
            device=f"{self.server} · {location}",
            is_demo=False,
            engine=f"{SERVER_FEATURES[self.kind].label} · {location}",
        )
