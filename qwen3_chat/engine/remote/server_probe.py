"""The probe of a server: its kind, the models that it serves, its state and latency."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic

from qwen3_chat.engine.remote.http_errors import error_from_response
from qwen3_chat.engine.remote.http_transport import HttpTransport, JsonResponse, TimeoutPolicy
from qwen3_chat.engine.remote.remote_model import ASSUMED_N_CTX, RemoteModel
from qwen3_chat.engine.remote.server_access import ServerAccess
from qwen3_chat.engine.remote.server_features import SERVER_FEATURES, MissingFeature
from qwen3_chat.errors import EngineError
from qwen3_chat.servers import Endpoint, ServerKind
from qwen3_chat.texts.terminal_safe import terminal_safe

OLLAMA_N_CTX = 8192
"""What is asked of Ollama, whose own default leaves no room to think."""

MAX_LISTED_NAMES = 12
MESSAGE_START = "<|im_start|>"

_OWNERS = {
    "vllm": ServerKind.VLLM,
    "sglang": ServerKind.SGLANG,
    "llamacpp": ServerKind.LLAMA_SERVER,
    "me": ServerKind.LLAMA_CPP_PYTHON,
    "library": ServerKind.OLLAMA,
    "organization_owner": ServerKind.LM_STUDIO,
}
"""`owned_by` in the list of models."""

JsonObject = Mapping[str, object]


async def probe_model(
    transport: HttpTransport, model_name: str | None, kind: ServerKind | None, n_ctx: int | None
) -> RemoteModel:
    """Find out what is served; `kind` and `n_ctx` override what the server says.

    Raises:
        EngineError: the server can't be reached or understood, or does not serve the model.
    """
    found, models = await _list_models(transport, kind, is_needed=not (model_name and kind))
    card = _choose_model(
        models, model_name, transport.endpoint.host, must_be_listed=found is not ServerKind.DASHSCOPE
    )
    served = RemoteModel(
        kind=found,
        model_id=_text(card.get("id")) or model_name or "",
        n_ctx=_count(card.get("max_model_len")),
    )
    served = await _fetch_details(served, card, transport)
    return _with_context(served, n_ctx)


async def list_served_models(
    transport: HttpTransport, kind: ServerKind | None
) -> tuple[ServerKind, list[str]]:
    """Ask for the names of the models alone.

    Raises:
        EngineError: the server can't be reached or understood.
    """
    found, models = await _list_models(transport, kind, is_needed=True)
    return found, [_text(model.get("id")) for model in models]


async def _list_models(
    transport: HttpTransport, kind: ServerKind | None, is_needed: bool
) -> tuple[ServerKind, list[JsonObject]]:
    endpoint = transport.endpoint
    if kind is None and endpoint.is_under("aliyuncs.com"):
        kind = ServerKind.DASHSCOPE
    listing = await transport.request_json("GET", f"{endpoint.api}/models")
    models = [_fields(item) for item in _sequence(listing.fields.get("data"))]
    if not models and is_needed:
        _require_listing(listing, transport)
    return kind or _kind_of(listing, models), models


def _require_listing(listing: JsonResponse, transport: HttpTransport) -> None:
    if listing.status != 200:
        raise error_from_response(
            listing.status,
            listing.body,
            listing.headers.get("location", ""),
            transport.endpoint,
            transport.access,
        )
    if not isinstance(listing.value, dict) or not isinstance(listing.value.get("data"), list):
        raise EngineError("remote.not_a_server", host=transport.endpoint.host)
    raise EngineError("remote.no_models", host=transport.endpoint.host)


def _kind_of(listing: JsonResponse, models: Sequence[JsonObject]) -> ServerKind:
    if listing.headers.get("server", "").lower().startswith("llama.cpp"):
        return ServerKind.LLAMA_SERVER
    owners = {_text(model.get("owned_by")) for model in models}
    return next((kind for owner, kind in _OWNERS.items() if owner in owners), ServerKind.OPENAI)


def _choose_model(
    models: Sequence[JsonObject], model_name: str | None, host: str, must_be_listed: bool
) -> JsonObject:
    """Choose the model that was asked for; without a wish the first Qwen3, else the first of all."""
    ids = {_text(model.get("id")): model for model in models}
    if model_name is None:
        name = next((name for name in ids if "qwen3" in name.lower()), next(iter(ids), ""))
        return ids.get(name, {})
    exact = [name for name in ids if name.lower() == model_name.lower()]
    partial = [name for name in ids if model_name.lower() in name.lower()]
    name = next(iter(exact or partial), "")
    if not name and ids and must_be_listed:
        known = sorted(ids)
        shown = ", ".join([*known[:MAX_LISTED_NAMES], *(["…"] if len(known) > MAX_LISTED_NAMES else [])])
        raise EngineError("remote.no_model", host=host, model=model_name, known=shown)
    return ids.get(name, {"id": model_name})


async def _fetch_details(served: RemoteModel, card: JsonObject, transport: HttpTransport) -> RemoteModel:
    """Ask by the server's own means; whatever it does not answer stays unknown."""
    root = transport.endpoint.root
    match served.kind:
        case ServerKind.LLAMA_SERVER:
            meta = _fields(card.get("meta"))
            props = (await transport.request_json("GET", f"{root}/props")).fields
            settings = _fields(props.get("default_generation_settings"))
            served = replace(
                served,
                n_ctx=_count(settings.get("n_ctx")) or _count(meta.get("n_ctx")),
                n_ctx_train=_count(meta.get("n_ctx_train")),
                parameters=_count(meta.get("n_params")),
                size_bytes=_count(meta.get("size")),
                version=_text(props.get("build_info")),
            )
            return replace(
                served, message_start_id=await _fetch_message_start_id(transport, {"content": MESSAGE_START})
            )
        case ServerKind.VLLM:
            version = (await transport.request_json("GET", f"{root}/version")).fields
            served = replace(served, version=_text(version.get("version")))
            question = {"model": served.model_id, "prompt": MESSAGE_START, "add_special_tokens": False}
            return replace(served, message_start_id=await _fetch_message_start_id(transport, question))
        case ServerKind.SGLANG:
            info = (await transport.request_json("GET", f"{root}/get_server_info")).fields
            n_ctx = served.n_ctx or _count(info.get("context_length"))
            return replace(served, version=_text(info.get("version")), n_ctx=n_ctx)
        case ServerKind.OLLAMA:
            return await _fetch_ollama_details(served, transport)
        case ServerKind.LM_STUDIO:
            listing = (await transport.request_json("GET", f"{root}/api/v0/models")).fields
            cards = [_fields(item) for item in _sequence(listing.get("data"))]
            own = next((one for one in cards if one.get("id") == served.model_id), {})
            return replace(
                served,
                n_ctx=_count(own.get("loaded_context_length")),
                n_ctx_train=_count(own.get("max_context_length")),
                quant=_text(own.get("quantization")),
                architecture=_text(own.get("arch")),
            )
        case ServerKind.LLAMA_CPP_PYTHON | ServerKind.DASHSCOPE | ServerKind.OPENAI:
            return served


async def _fetch_ollama_details(served: RemoteModel, transport: HttpTransport) -> RemoteModel:
    root = transport.endpoint.root
    version = (await transport.request_json("GET", f"{root}/api/version")).fields
    shown = (await transport.request_json("POST", f"{root}/api/show", {"model": served.model_id})).fields
    details, info = _fields(shown.get("details")), _fields(shown.get("model_info"))
    architecture = _text(info.get("general.architecture"))
    trained = _count(info.get(f"{architecture}.context_length"))
    skills = _sequence(shown.get("capabilities"))
    return replace(
        served,
        version=_text(version.get("version")),
        n_ctx=min(OLLAMA_N_CTX, trained or OLLAMA_N_CTX),
        n_ctx_train=trained,
        quant=_text(details.get("quantization_level")),
        architecture=architecture,
        parameters=_count(info.get("general.parameter_count")),
        thinks_on_demand=not skills or "thinking" in skills,
    )


async def _fetch_message_start_id(transport: HttpTransport, body: JsonObject) -> int | None:
    """Ask for the token that begins a message; None where the server doesn't tokenise."""
    answer = await transport.request_json("POST", f"{transport.endpoint.root}/tokenize", body)
    tokens = _sequence(answer.fields.get("tokens"))
    return _count(tokens[0]) if len(tokens) == 1 else None


def _with_context(served: RemoteModel, n_ctx: int | None) -> RemoteModel:
    if n_ctx is not None:
        return replace(served, n_ctx=n_ctx)
    if served.n_ctx:
        return served
    return replace(
        served, n_ctx=min(ASSUMED_N_CTX, served.n_ctx_train or ASSUMED_N_CTX), n_ctx_is_known=False
    )


def _fields(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    """Return a server's text, which is shown: it steers no terminal."""
    return terminal_safe(value) if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else 0


PROBE_TIMEOUTS = TimeoutPolicy(connect_s=3, query_s=5)


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """Which server, and what is not left to it: None lets it tell; `name` is what the user calls it."""

    endpoint: Endpoint
    model: str | None = None
    kind: ServerKind | None = None
    access: ServerAccess = field(default_factory=ServerAccess)
    n_ctx: int | None = None
    timeouts: TimeoutPolicy = field(default_factory=TimeoutPolicy)
    name: str = ""


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a server said when it was asked for its models; `failure` is a sentence, empty where it is up."""

    label: str = ""
    models: tuple[str, ...] = ()
    latency_s: float = 0.0
    failure: str = ""
    missing_features: tuple[MissingFeature, ...] = ()


async def probe_server(settings: RemoteSettings, clock: Callable[[], float] = monotonic) -> ServerState:
    """Ask a server for its models, twice: the second time tells how soon it answers once it is reached."""
    transport = HttpTransport(settings.endpoint, settings.access, PROBE_TIMEOUTS)
    try:
        await list_served_models(transport, settings.kind)
        began_s = clock()
        kind, names = await list_served_models(transport, settings.kind)
    except EngineError as error:
        return ServerState(failure=str(error))
    finally:
        await transport.close()
    return ServerState(
        SERVER_FEATURES[kind].label,
        tuple(names),
        clock() - began_s,
        missing_features=SERVER_FEATURES[kind].missing_features,
    )
