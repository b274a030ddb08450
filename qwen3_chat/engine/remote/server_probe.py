"""The probe of a server: its kind, the models that it serves, its state and latency."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from qwen3_chat.chat import MESSAGE_START
from qwen3_chat.engine.remote.http_errors import error_from_response
from qwen3_chat.engine.remote.http_transport import HttpTransport, JsonResponse, TimeoutPolicy
from qwen3_chat.engine.remote.remote_model import RemoteModel
from qwen3_chat.engine.remote.server_access import ServerAccess
from qwen3_chat.engine.remote.server_features import SERVER_FEATURES, MissingFeature
from qwen3_chat.engine.remote.untrusted_json import json_count, json_list, json_object
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError, Qwen3ChatError
from qwen3_chat.events import Notice
from qwen3_chat.models.catalog.family import HYBRID_N_CTX
from qwen3_chat.record_copies import replace
from qwen3_chat.request import MAX_USER_N_CTX
from qwen3_chat.servers import Endpoint, ServerKind
from qwen3_chat.texts.terminal_safe import terminal_safe

OLLAMA_N_CTX = 8192
"""The context requested from Ollama, whose own default leaves no room to think."""
ASSUMED_N_CTX = HYBRID_N_CTX
"""The context of a server that does not report its size: Qwen3's own."""
MAX_LISTED_NAMES = 12
MAX_MODELS = 2000
"""The limit for the models of a server that are read; the largest services offer some 500."""
MAX_NAME_CHARACTERS = 256
"""The limit for names and versions that a server gives; a longer one counts as not given."""
PROBE_TIMEOUTS = TimeoutPolicy(connect_s=3, query_s=5, max_attempts=1)
_KINDS_BY_OWNER = {
    "vllm": ServerKind.VLLM,
    "sglang": ServerKind.SGLANG,
    "llamacpp": ServerKind.LLAMA_SERVER,
    "me": ServerKind.LLAMA_CPP_PYTHON,
    "library": ServerKind.OLLAMA,
    "organization_owner": ServerKind.LM_STUDIO,
}
"""The kinds by the value of `owned_by` in the list of models."""
_TRANSFORMERS_STATES = ("loaded", "unloaded")

JsonObject = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """The user's settings for a server; None leaves a choice to the server, `name` is the user's own."""

    endpoint: Endpoint
    model: str | None = None
    kind: ServerKind | None = None
    access: ServerAccess = field(default_factory=ServerAccess)
    n_ctx: int | None = None
    timeouts: TimeoutPolicy = field(default_factory=TimeoutPolicy)
    name: str = ""


@dataclass(frozen=True, slots=True)
class ServerState:
    """The state of a server: its kind, models and latency, or its `failure`."""

    label: str = ""
    models: tuple[str, ...] = ()
    latency_s: float = 0.0
    failure: Qwen3ChatError | None = None
    missing_features: tuple[MissingFeature, ...] = ()


async def probe_server(settings: RemoteSettings, clock: Callable[[], float] = monotonic) -> ServerState:
    """Return the state of a server, after requesting its models twice.

    The second request measures the latency over an open connection.
    """
    transport = HttpTransport(settings.endpoint, settings.access, PROBE_TIMEOUTS)
    try:
        await list_served_models(transport, settings.kind)
        began_s = clock()
        kind, names = await list_served_models(transport, settings.kind)
    except EngineError as error:
        return ServerState(failure=error)
    finally:
        await transport.close()
    return ServerState(
        SERVER_FEATURES[kind].label,
        tuple(names),
        clock() - began_s,
        missing_features=SERVER_FEATURES[kind].missing_features,
    )


async def probe_model(
    transport: HttpTransport,
    model_name: str | None,
    kind: ServerKind | None,
    n_ctx: int | None,
    on_retry: Callable[[Notice], None],
) -> RemoteModel:
    """Return the served model; `kind` and `n_ctx` override what the server reports.

    Raises:
        EngineError: the server can't be reached or understood, or does not serve the model.
    """
    kind, models = await _list_models(transport, kind, on_retry, is_needed=not (model_name and kind))
    card = _choose_model(
        models, model_name, transport.endpoint.host, must_be_listed=kind is not ServerKind.DASHSCOPE
    )
    served = RemoteModel(
        kind=kind,
        model_id=_text(card.get("id")) or model_name or "",
        n_ctx=_n_ctx(card.get("max_model_len")) or _n_ctx(card.get("max_input_tokens")),  # vLLM, LiteLLM
    )
    served = await _fetch_details(served, card, transport)
    return _with_context(served, n_ctx)


async def list_served_models(
    transport: HttpTransport, kind: ServerKind | None
) -> tuple[ServerKind, list[str]]:
    """Return the kind of a server with the names of its models.

    Raises:
        EngineError: the server can't be reached or understood.
    """
    kind, models = await _list_models(transport, kind, lambda notice: None, is_needed=True)
    return kind, [_text(model.get("id")) for model in models]


async def _list_models(
    transport: HttpTransport, kind: ServerKind | None, on_retry: Callable[[Notice], None], is_needed: bool
) -> tuple[ServerKind, list[JsonObject]]:
    endpoint = transport.endpoint
    if kind is None and endpoint.is_under("aliyuncs.com"):
        kind = ServerKind.DASHSCOPE
    listing = await transport.request_listing(f"{endpoint.api}/models", on_retry)
    models: list[JsonObject] = [
        json_object(item) for item in json_list(listing.fields.get("data"))[:MAX_MODELS]
    ]
    if not models and is_needed:
        _require_listing(listing, transport)
    return kind or _detect_kind(listing, models), models


def _require_listing(listing: JsonResponse, transport: HttpTransport) -> None:
    if listing.status != 200:
        raise error_from_response(
            listing.status,
            listing.body,
            listing.headers.get("location", ""),
            transport.endpoint,
            transport.access,
        )
    if not listing.body.strip():
        raise EngineError(ErrorCode.SERVER_LISTING_EMPTY, host=transport.endpoint.host)
    if not isinstance(listing.value, dict) or not isinstance(listing.value.get("data"), list):
        raise EngineError(ErrorCode.NOT_A_CHAT_SERVER, host=transport.endpoint.host)
    raise EngineError(ErrorCode.SERVER_WITHOUT_MODELS, host=transport.endpoint.host)


def _detect_kind(listing: JsonResponse, models: Sequence[JsonObject]) -> ServerKind:
    if listing.headers.get("server", "").lower().startswith("llama.cpp"):
        return ServerKind.LLAMA_SERVER
    owners = {_text(model.get("owned_by")) for model in models}
    if kind := next((kind for owner, kind in _KINDS_BY_OWNER.items() if owner in owners), None):
        return kind
    if any(json_object(model.get("status")).get("value") in _TRANSFORMERS_STATES for model in models):
        return ServerKind.TRANSFORMERS
    is_plain_python = listing.headers.get("server", "").startswith("BaseHTTP/")
    if is_plain_python and not any("owned_by" in model for model in models):
        return ServerKind.MLX_LM  # behind a proxy its replies tell
    return ServerKind.OPENAI


def _choose_model(
    models: Sequence[JsonObject], model_name: str | None, host: str, must_be_listed: bool
) -> JsonObject:
    """Return the model of that name; without a name the first Qwen3, else the first of all."""
    ids = {_text(model.get("id")): model for model in models}
    if model_name is None:
        name = next((name for name in ids if "qwen3" in name.lower()), next(iter(ids), ""))
        return ids.get(name, {})
    exact = [name for name in ids if name.lower() == model_name.lower()]
    partial = [name for name in ids if model_name.lower() in name.lower()]
    name = next(iter(exact or partial), "")
    if not name and ids and must_be_listed:
        names = sorted(ids)
        known = ", ".join([*names[:MAX_LISTED_NAMES], *(["…"] if len(names) > MAX_LISTED_NAMES else [])])
        raise EngineError(ErrorCode.SERVER_MODEL_NOT_FOUND, host=host, model=model_name, known=known)
    return ids.get(name, {"id": model_name})


async def _fetch_details(served: RemoteModel, card: JsonObject, transport: HttpTransport) -> RemoteModel:
    """Complete the model from the server's own interface; values that it does not report stay unknown."""
    match served.kind:
        case ServerKind.LLAMA_SERVER:
            return await _fetch_llama_server_details(served, card, transport)
        case ServerKind.VLLM:
            return await _fetch_vllm_details(served, transport)
        case ServerKind.SGLANG:
            return await _fetch_sglang_details(served, transport)
        case ServerKind.OLLAMA:
            return await _fetch_ollama_details(served, transport)
        case ServerKind.LM_STUDIO:
            return await _fetch_lm_studio_details(served, transport)
        case _:
            return served  # they tell nothing else


async def _fetch_llama_server_details(
    served: RemoteModel, card: JsonObject, transport: HttpTransport
) -> RemoteModel:
    meta = json_object(card.get("meta"))
    props = (await transport.request_json("GET", f"{transport.endpoint.root}/props")).fields
    settings = json_object(props.get("default_generation_settings"))
    return replace(
        served,
        n_ctx=_n_ctx(settings.get("n_ctx")) or _n_ctx(meta.get("n_ctx")),
        n_ctx_train=_n_ctx(meta.get("n_ctx_train")),
        parameters=_count(meta.get("n_params")),
        size_bytes=_count(meta.get("size")),
        version=_text(props.get("build_info")),
        message_start_id=await _fetch_message_start_id(transport, {"content": MESSAGE_START}),
    )


async def _fetch_vllm_details(served: RemoteModel, transport: HttpTransport) -> RemoteModel:
    version = (await transport.request_json("GET", f"{transport.endpoint.root}/version")).fields
    body = {"model": served.model_id, "prompt": MESSAGE_START, "add_special_tokens": False}
    return replace(
        served,
        version=_text(version.get("version")),
        message_start_id=await _fetch_message_start_id(transport, body),
    )


async def _fetch_sglang_details(served: RemoteModel, transport: HttpTransport) -> RemoteModel:
    info = (await transport.request_json("GET", f"{transport.endpoint.root}/get_server_info")).fields
    n_ctx = served.n_ctx or _n_ctx(info.get("context_length"))
    return replace(served, version=_text(info.get("version")), n_ctx=n_ctx)


async def _fetch_ollama_details(served: RemoteModel, transport: HttpTransport) -> RemoteModel:
    root = transport.endpoint.root
    version = (await transport.request_json("GET", f"{root}/api/version")).fields
    show = (await transport.request_json("POST", f"{root}/api/show", {"model": served.model_id})).fields
    details, info = json_object(show.get("details")), json_object(show.get("model_info"))
    architecture = _text(info.get("general.architecture"))
    n_ctx_train = _n_ctx(info.get(f"{architecture}.context_length"))
    capabilities = json_list(show.get("capabilities"))
    return replace(
        served,
        version=_text(version.get("version")),
        n_ctx=min(OLLAMA_N_CTX, n_ctx_train or OLLAMA_N_CTX),
        n_ctx_train=n_ctx_train,
        quant=_text(details.get("quantization_level")),
        architecture=architecture,
        parameters=_count(info.get("general.parameter_count")),
        thinks_on_demand=not capabilities or "thinking" in capabilities,
    )


async def _fetch_lm_studio_details(served: RemoteModel, transport: HttpTransport) -> RemoteModel:
    listing = (await transport.request_json("GET", f"{transport.endpoint.root}/api/v0/models")).fields
    cards = [json_object(item) for item in json_list(listing.get("data"))]
    card = next((card for card in cards if card.get("id") == served.model_id), {})
    return replace(
        served,
        n_ctx=_n_ctx(card.get("loaded_context_length")),
        n_ctx_train=_n_ctx(card.get("max_context_length")),
        quant=_text(card.get("quantization")),
        architecture=_text(card.get("arch")),
    )


async def _fetch_message_start_id(transport: HttpTransport, body: JsonObject) -> int | None:
    """Return the token with which a message begins, or None if the server can't tokenise."""
    response = await transport.request_json("POST", f"{transport.endpoint.root}/tokenize", body)
    tokens = json_list(response.fields.get("tokens"))
    return _count(tokens[0]) if len(tokens) == 1 else None


def _with_context(served: RemoteModel, n_ctx: int | None) -> RemoteModel:
    if n_ctx is not None:
        return replace(served, n_ctx=n_ctx, n_ctx_is_chosen=True)
    if served.n_ctx:
        return served
    return replace(
        served, n_ctx=min(ASSUMED_N_CTX, served.n_ctx_train or ASSUMED_N_CTX), n_ctx_is_known=False
    )


def _text(value: object) -> str:
    """Return a name of the server, safe to display: short and without terminal controls."""
    return terminal_safe(value) if isinstance(value, str) and len(value) <= MAX_NAME_CHARACTERS else ""


def _n_ctx(value: object) -> int:
    """Return the size of a context; one that can't be counts as not given."""
    return json_count(value, MAX_USER_N_CTX) or 0


def _count(value: object) -> int:
    return json_count(value) or 0
