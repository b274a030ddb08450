"""Names of models as people paste them: addresses, commands and tags of other programs, file names."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from qwen3_chat.models.catalog.family import FAMILY, find_family_model

_MAX_CHARACTERS = 2000
"""The limit for a pasted text; the longest addresses of files have a few hundred characters."""

_HOSTS = ("huggingface.co", "hf.co", "hf-mirror.com", "modelscope.cn", "modelscope.ai")
_OLLAMA_HOSTS = ("ollama.com", "registry.ollama.ai")
_FILE_VIEWS = ("tree", "blob", "resolve", "raw", "blame")
_NEWEST_REVISIONS = ("main", "master", "HEAD")
_NOT_MODELS = ("datasets", "spaces", "collections", "papers", "docs", "studios")
_FILE_QUERIES = ("FilePath", "fileName", "show_file_info")
"""The parameters that name a file: in ModelScope's API, on its pages, in Hugging Face's viewer."""

_AROUND = " \t\r\n\u00a0\u200b\u2060\u3000\ufeff\"'`<>()[]“”‘’「」《》,;，；。"
_PROGRAMS = (
    "curl",
    "hf",
    "huggingface-cli",
    "llama",
    "llama-cli",
    "llama-server",
    "lms",
    "modelscope",
    "ollama",
    "qwen3-chat",
    "wget",
)
_VERBS = ("chat", "download", "get", "load", "pull", "rm", "run", "serve", "show")
_SHORT_TAGS = {
    "": "8B",
    "latest": "8B",
    "30b": "30B-A3B",
    "235b": "235B-A22B",
    **{
        f"{size.lower()}-{kind.lower()}": f"{full}-{kind}-2507"
        for size, full in (("4B", "4B"), ("30B", "30B-A3B"), ("235B", "235B-A22B"))
        for kind in ("Instruct", "Thinking")
    },
}
"""Tags of Ollama's library that are shorter than the names of the family."""
_QUANT = re.compile(r"(?:ud-)?(?:i?q\d\w*|bf16|fp?16|f32)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class PastedName:
    """A name with the quant or path after it, and the revision that an address may hold."""

    name: str
    selector: str | None = None
    revision: str | None = None


def parse_pasted_name(text: str, mirrors: Collection[str] = ()) -> PastedName:
    """Read a name as people paste it; `mirrors` are hosts that count as Hugging Face or ModelScope.

    Anything that is none of the known forms is split at its first colon.
    """
    text = _from_command(_cleaned(text[:_MAX_CHARACTERS]))
    if (address := _address(text, mirrors)) is not None:
        return _from_address(address) or PastedName(text)
    if "://" in text:
        return PastedName(text)  # the page of another site, to be refused as a whole
    name, colon, selector = text.partition(":")
    if ("/" in name or find_family_model(name) is None) and (tagged := _family_name(text)):
        return tagged
    if name.count("/") > 1 and name.lower().endswith(".gguf") and not colon:
        owner, repository, path = name.split("/", 2)
        return PastedName(f"{owner}/{repository}", path)
    if "/" in name and selector.lower() == "latest":
        return PastedName(name)
    return PastedName(name, selector if colon else None)


def _cleaned(text: str) -> str:
    """Return a text without what surrounds a name in a message, and with plain colons."""
    return text.replace("\uff1a", ":").strip(_AROUND)


def _from_command(text: str) -> str:
    """Return the name in a command of another program, with its file after a colon; else the text."""
    words = text.lstrip("$%# ").split()
    if len(words) < 2 or words[0].lower() not in _PROGRAMS:
        return text
    rest = [_cleaned(word) for word in words[1:] if not word.startswith("-")]
    names = [word for word in rest if word and word.lower() not in _VERBS]
    if not names:
        return text
    name = names[0]
    selectors = [word.strip("*") for word in names[1:] if _is_selector(word)]
    return f"{name}:{selectors[0]}" if selectors and "://" not in name and ":" not in name else name


def _is_selector(word: str) -> bool:
    return word.lower().endswith(".gguf") or _QUANT.fullmatch(word.strip("*-_.")) is not None


def _address(text: str, mirrors: Collection[str]) -> SplitResult | None:
    """Split the address of a page of a known host, with or without its scheme."""
    match = re.fullmatch(r"(?:(?P<scheme>https?|hf|hf-mirror|modelscope)://|hf:)?(?P<rest>.+)", text, re.I)
    if match is None:
        return None
    scheme = (match["scheme"] or "").lower()
    if scheme in ("hf", "modelscope") or text.lower().startswith("hf:"):
        host = "modelscope.cn" if scheme == "modelscope" else "huggingface.co"
        return urlsplit(f"https://{host}/{match['rest']}")
    try:
        address = urlsplit(f"https://{match['rest']}")
    except ValueError:
        return None
    host = address.netloc.lower()
    known = {*_HOSTS, *_OLLAMA_HOSTS, *(mirror.lower() for mirror in mirrors)}
    return address if "/" in match["rest"] and host.removeprefix("www.") in known | {host} & known else None


def _from_address(address: SplitResult) -> PastedName | None:
    """Read the address of a repository, a folder or a file in it; None where it is that of another page."""
    parts = [unquote(part) for part in address.path.split("/") if part]
    if address.netloc.lower().removeprefix("www.") in _OLLAMA_HOSTS:
        return _family_name(parts[-1]) if parts[:-1] in ([], ["library"]) and parts else None
    for prefix in (["api", "v1", "models"], ["api", "models"], ["models"]):
        if parts[: len(prefix)] == prefix:
            del parts[: len(prefix)]
            break
    if len(parts) < 2 or parts[0] in _NOT_MODELS:
        return None
    owner, last, *rest = parts
    repository, colon, selector = last.partition(":")
    query = parse_qs(address.query)
    path, revision = _file_in(rest)
    for key in _FILE_QUERIES:
        path = path or query.get(key, [""])[0]
    revision = revision or query.get("Revision", [None])[0]
    if not path and colon and selector.lower() != "latest":
        path = selector
    if not path and (tagged := _family_name(f"{owner}/{repository}")):
        return tagged
    is_newest = revision is None or revision in _NEWEST_REVISIONS
    return PastedName(f"{owner}/{repository}", path or None, None if is_newest else revision)


def _file_in(parts: Sequence[str]) -> tuple[str, str | None]:
    """Return the path of a file or folder, and the revision, of the rest of an address."""
    match list(parts):
        case ["file", "view", revision, *path]:
            return "/".join(path), revision
        case [view, revision, *path] if view in _FILE_VIEWS:
            return "/".join(path), revision
        case [*path, name] if name.lower().endswith(".gguf"):
            return "/".join((*path, name)), None
        case _:
            return "", None


def _family_name(text: str) -> PastedName | None:
    """Read a tag such as `qwen3:8b-q4_K_M`, a file name, or the repository of the weights in 16 bits."""
    match = re.fullmatch(
        r"(?:library/|qwen/)?qwen3(?:[:-](?P<tag>.*))?", text.lower().removesuffix(".gguf"), re.DOTALL
    )
    if match is None or (text.lower().startswith("qwen/") and "gguf" in text.lower()):
        return None
    tag = match["tag"] or ""
    names = {model.name.lower(): model.name for model in FAMILY} | _SHORT_TAGS
    for short in sorted(names, key=len, reverse=True):
        if tag == short:
            return PastedName(names[short])
        if short and tag.startswith((f"{short}-", f"{short}:", f"{short}.")):
            quant = re.sub("^gguf[:-]?", "", tag[len(short) + 1 :])
            if not quant:
                return PastedName(names[short])
            if _QUANT.fullmatch(quant):
                return PastedName(names[short], "BF16" if quant == "fp16" else quant.upper())
    return None
