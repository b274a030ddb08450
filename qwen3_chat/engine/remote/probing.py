"""Which server this is and what it serves, found out by asking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from qwen3_chat.engine.remote.failures import refusal
from qwen3_chat.engine.remote.served_model import ASSUMED_N_CTX, ServedModel
from qwen3_chat.engine.remote.transport import Answer, Transport
from qwen3_chat.errors import EngineError
from qwen3_chat.plain import plain
from qwen3_chat.servers import ServerKind

OLLAMA_N_CTX = 8192
"""What is asked of Ollama, whose own default leaves no room to think."""

MOST_NAMES = 12
START = "<|im_start|>"

_OWNERS = {
    "vllm": ServerKind.VLLM,
    "sglang": ServerKind.SGLANG,
    "llamacpp": ServerKind.LLAMA_SERVER,
    "me": ServerKind.LLAMA_CPP_PYTHON,
    "library": ServerKind.OLLAMA,
    "organization_owner": ServerKind.LM_STUDIO,
}
"""`owned_by` in the list of models."""

Fields = Mapping[str, object]


async def probe(
    transport: Transport, wanted: str | None, kind: ServerKind | None, n_ctx: int | None
) -> ServedModel:
    """Find out what is served; `kind` and `n_ctx` override what the server says.

    Raises:
        EngineError: the server can't be reached or understood, or does not serve the model.
    """
    found, models = await _listed(transport, kind, is_needed=not (wanted and kind))
    card = _chosen(models, wanted, transport.endpoint.host, must_be_listed=found is not ServerKind.DASHSCOPE)
    served = ServedModel(
        kind=found,
        model_id=_text(card.get("id")) or wanted or "",
        n_ctx=_count(card.get("max_model_len")),
    )
    served = await _asked_further(served, card, transport)
    return _with_context(served, n_ctx)


async def served_names(transport: Transport, kind: ServerKind | None) -> tuple[ServerKind, list[str]]:
    """Ask for the names of the models alone.

    Raises:
        EngineError: the server can't be reached or understood.
    """
    found, models = await _listed(transport, kind, is_needed=True)
    return found, [_text(model.get("id")) for model in models]


async def _listed(
    transport: Transport, kind: ServerKind | None, is_needed: bool
) -> tuple[ServerKind, list[Fields]]:
    endpoint = transport.endpoint
    if kind is None and endpoint.is_under("aliyuncs.com"):
        kind = ServerKind.DASHSCOPE
    listing = await transport.ask("GET", f"{endpoint.api}/models")
    models = [_fields(item) for item in _sequence(listing.fields.get("data"))]
    if not models and is_needed:
        _require_listing(listing, transport)
    return kind or _kind_of(listing, models), models


def _require_listing(listing: Answer, transport: Transport) -> None:
    if listing.status != 200:
        raise refusal(
            listing.status,
            listing.body,
            listing.headers.get("location", ""),
            transport.endpoint,
            transport.access,
        )
    if not isinstance(listing.value, dict) or not isinstance(listing.value.get("data"), list):
        raise EngineError("remote.not_a_server", host=transport.endpoint.host)
    raise EngineError("remote.no_models", host=transport.endpoint.host)


def _kind_of(listing: Answer, models: Sequence[Fields]) -> ServerKind:
    if listing.headers.get("server", "").lower().startswith("llama.cpp"):
        return ServerKind.LLAMA_SERVER
    owners = {_text(model.get("owned_by")) for model in models}
    return next((kind for owner, kind in _OWNERS.items() if owner in owners), ServerKind.OPENAI)


def _chosen(models: Sequence[Fields], wanted: str | None, host: str, must_be_listed: bool) -> Fields:
    """Choose the model that was asked for; without a wish the first Qwen3, else the first of all."""
    ids = {_text(model.get("id")): model for model in models}
    if wanted is None:
        name = next((name for name in ids if "qwen3" in name.lower()), next(iter(ids), ""))
        return ids.get(name, {})
    exact = [name for name in ids if name.lower() == wanted.lower()]
    partial = [name for name in ids if wanted.lower() in name.lower()]
    name = next(iter(exact or partial), "")
    if not name and ids and must_be_listed:
        known = sorted(ids)
        shown = ", ".join([*known[:MOST_NAMES], *(["…"] if len(known) > MOST_NAMES else [])])
        raise EngineError("remote.no_model", host=host, model=wanted, known=shown)
    return ids.get(name, {"id": wanted})


async def _asked_further(served: ServedModel, card: Fields, transport: Transport) -> ServedModel:
    """Ask by the server's own means; whatever it does not answer stays unknown."""
    root = transport.endpoint.root
    match served.kind:
        case ServerKind.LLAMA_SERVER:
            meta = _fields(card.get("meta"))
            props = (await transport.ask("GET", f"{root}/props")).fields
            settings = _fields(props.get("default_generation_settings"))
            served = replace(
                served,
                n_ctx=_count(settings.get("n_ctx")) or _count(meta.get("n_ctx")),
                n_ctx_train=_count(meta.get("n_ctx_train")),
                parameters=_count(meta.get("n_params")),
                size_bytes=_count(meta.get("size")),
                version=_text(props.get("build_info")),
            )
            return replace(served, start_id=await _start_id(transport, {"content": START}))
        case ServerKind.VLLM:
            version = (await transport.ask("GET", f"{root}/version")).fields
            served = replace(served, version=_text(version.get("version")))
            question = {"model": served.model_id, "prompt": START, "add_special_tokens": False}
            return replace(served, start_id=await _start_id(transport, question))
        case ServerKind.SGLANG:
            info = (await transport.ask("GET", f"{root}/get_server_info")).fields
            n_ctx = served.n_ctx or _count(info.get("context_length"))
            return replace(served, version=_text(info.get("version")), n_ctx=n_ctx)
        case ServerKind.OLLAMA:
            return await _ollama(served, transport)
        case ServerKind.LM_STUDIO:
            listing = (await transport.ask("GET", f"{root}/api/v0/models")).fields
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


async def _ollama(served: ServedModel, transport: Transport) -> ServedModel:
    root = transport.endpoint.root
    version = (await transport.ask("GET", f"{root}/api/version")).fields
    shown = (await transport.ask("POST", f"{root}/api/show", {"model": served.model_id})).fields
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


async def _start_id(transport: Transport, question: Fields) -> int | None:
    """Ask for the token that begins a message; None where the server doesn't tokenise."""
    answer = await transport.ask("POST", f"{transport.endpoint.root}/tokenize", question)
    tokens = _sequence(answer.fields.get("tokens"))
    return _count(tokens[0]) if len(tokens) == 1 else None


def _with_context(served: ServedModel, n_ctx: int | None) -> ServedModel:
    if n_ctx is not None:
        return replace(served, n_ctx=n_ctx)
    if served.n_ctx:
        return served
    return replace(
        served, n_ctx=min(ASSUMED_N_CTX, served.n_ctx_train or ASSUMED_N_CTX), n_ctx_is_known=False
    )


def _fields(value: object) -> Fields:
    return value if isinstance(value, dict) else {}


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    """Return a server's text, which is shown: it steers no terminal."""
    return plain(value) if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else 0
