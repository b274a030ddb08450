"""Names of models as people paste them: addresses, commands and tags of other programs, file names."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cache
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from msgspec import Struct

from qwen3_chat.models.catalog.family import FAMILY, find_family_model

_MAX_CHARACTERS = 2000
"""The limit for a pasted text; the longest addresses of files have a few hundred characters."""

_HOSTS = ("huggingface.co", "hf.co", "hf-mirror.com", "modelscope.cn", "modelscope.ai")
_OLLAMA_HOSTS = ("ollama.com", "registry.ollama.ai")
_OTHER_HOSTS = (*_OLLAMA_HOSTS, "lmstudio.ai", "hub.docker.com")
"""The hosts whose pages are about models of the family, under tags of their own."""
_FILE_VIEWS = ("tree", "blob", "resolve", "raw", "blame")
_NEWEST_REVISIONS = ("main", "master", "HEAD")
_NOT_MODELS = ("datasets", "spaces", "collections", "papers", "docs", "studios")
_FILE_QUERIES = ("FilePath", "fileName", "show_file_info")
"""The parameters that name a file: in ModelScope's API, on its pages, in Hugging Face's viewer."""

_AROUND = " \t\r\n\u00a0\u200b\u2060\u3000\ufeff\"'`<>()[]“”‘’「」《》,;，；。"
_PROGRAMS = (
    "curl",
    "docker",
    "git",
    "hf",
    "huggingface-cli",
    "llama",
    "llama-cli",
    "llama-server",
    "lms",
    "modelscope",
    "ollama",
    "qwen3-chat",
    "sglang",
    "vllm",
    "wget",
)
_STARTERS = ("doas", "sudo", "uvx", "uv", "pipx", "run")
"""Words before a program's name that start it."""
_VERBS = ("chat", "clone", "download", "get", "load", "model", "pull", "rm", "run", "serve", "show")
_LINK = re.compile(r"\[[^\]]*\]\((?P<address>[^)\s]+)\)")
"""A link of Markdown."""
_CALL = re.compile(r"""\w\(\s*["'](?P<name>[\w.-]+/[\w.-]+)["']""", re.ASCII)
"""A call of a program with a repository, such as `from_pretrained("Qwen/Qwen3-8B")`."""
_GIT = re.compile(r"(?:ssh://)?git@(?P<host>[\w.-]+)[:/](?P<path>.+)", re.IGNORECASE | re.ASCII)
_SPLIT_PART = re.compile(r"-\d{5}-of-\d{5}(?=\.gguf$|$)", re.IGNORECASE | re.ASCII)
_OTHER_FILES = re.compile(r"\.(?:md|json|txt|jinja|ya?ml|gitattributes|png)$", re.IGNORECASE)
"""The names of files beside a model, whose pages stand for the repository."""
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
_SHORTENED = re.compile(r"(?P<size>(?P<line>[a-z][a-z0-9.]*)-\d[\d.]*b)(?:-a\d+b)?(?:-instruct|-thinking)?")
"""The name of a later model with the part of it that Ollama's tags have: `coder-30b` of `qwen3-coder:30b`."""
_QUANT = re.compile(r"(?:ud-)?(?:i?q\d\w*|bf16|fp?16|f32)", re.IGNORECASE | re.ASCII)


class PastedName(Struct, frozen=True):
    """A name with the quant or path after it, and the revision that an address may hold."""

    name: str
    selector: str | None = None
    revision: str | None = None


def parse_pasted_name(text: str, mirrors: Collection[str] = ()) -> PastedName:
    """Read a name as people paste it; `mirrors` are hosts that count as Hugging Face or ModelScope.

    Anything that is none of the known forms is split at its first colon.
    """
    text = _with_colon(_from_command(_without_prose(text[:_MAX_CHARACTERS])))
    if (address := _address(text, mirrors)) is not None:
        return _from_address(address) or PastedName(text)
    if "://" in text:
        return PastedName(text)  # the page of another site, to be refused as a whole
    name, colon, selector = text.partition(":")
    if ("/" in name or find_family_model(name) is None) and (tagged := _family_name(text)):
        return tagged
    if name[:1].isdigit() and not colon and find_family_model(name) is None:
        return _family_name(f"qwen3:{text.replace('/', '-')}") or PastedName(text)
    if name.count("/") > 1 and name.lower().endswith(".gguf") and not colon:
        owner, repository, path = name.split("/", 2)
        return PastedName(f"{owner}/{repository}", path)
    if "/" in name and selector.lower() == "latest":
        return PastedName(name)
    return PastedName(name, selector if colon else None)


def _cleaned(text: str) -> str:
    """Return a text without what surrounds a name in a message, and with plain colons."""
    return text.replace("\uff1a", ":").strip(_AROUND)


def _without_prose(text: str) -> str:
    """Return the address in a link, a call or a sentence; else the cleaned text."""
    if match := _LINK.search(text):
        return _cleaned(match["address"])
    if match := _CALL.search(text):
        return match["name"]
    text = _cleaned(text)
    if match := _GIT.fullmatch(text):
        text = f"https://{match['host']}/{match['path']}"
    addresses = [word for word in map(_cleaned, text.split()) if "://" in word]
    text = addresses[0] if len(addresses) == 1 else text
    return text.rstrip(f"{_AROUND}.") if "://" in text else text


def _with_colon(text: str) -> str:
    """Return a text in which a colon is before a quant that a space or an at sign separates."""
    name, _, quant = text.replace("@", " ").rpartition(" ")
    is_quant = name and not set(" :") & set(name.strip()) and _QUANT.fullmatch(quant)
    return f"{name.strip()}:{quant}" if is_quant else text


def _from_command(text: str) -> str:
    """Return the name in a command of another program, with its file after a colon; else the text."""
    words = text.lstrip("$%# ").split()
    while len(words) > 2 and words[0].lower() in _STARTERS:
        del words[0]
    if len(words) < 2 or re.split(r"[\\/]", words[0].lower())[-1].removesuffix(".exe") not in _PROGRAMS:
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
    match = re.fullmatch(
        r"(?:(?P<scheme>https?|hf|hf-mirror|modelscope)://|hf:|//)?(?P<rest>.+)", text, re.IGNORECASE
    )
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
    known = {*_HOSTS, *_OTHER_HOSTS, *(mirror.lower() for mirror in mirrors)}
    netloc = address.netloc.lower().rpartition("@")[2]
    is_known = not known.isdisjoint({netloc, _host_of(address)})
    return address if "/" in match["rest"] and is_known else None


def _host_of(address: SplitResult) -> str:
    """Return the host without `www.`, a user's name and a usual port."""
    host = address.netloc.lower().rpartition("@")[2].removeprefix("www.")
    return re.sub(r":(?:80|443)$", "", host)


def _from_address(address: SplitResult) -> PastedName | None:
    """Read the address of a repository, a folder or a file in it; None where it is that of another page."""
    parts = [unquote(part) for part in address.path.split("/") if part]
    if _host_of(address) in _OTHER_HOSTS:
        return _from_other_page(parts)
    for prefix in (["api", "v1", "models"], ["api", "models"], ["models"]):
        if parts[: len(prefix)] == prefix:
            del parts[: len(prefix)]
            break
    if len(parts) < 2 or parts[0] in _NOT_MODELS:
        return None
    owner, last, *rest = parts
    repository, colon, selector = last.removesuffix(".git").partition(":")
    query = parse_qs(address.query)
    path, revision = _file_in(rest)
    for key in _FILE_QUERIES:
        path = path or query.get(key, [""])[0]
    revision = revision or query.get("Revision", [None])[0]
    if path and _OTHER_FILES.search(path):
        path = ""
    if not path and colon and selector.lower() != "latest":
        path = selector
    if not path and (tagged := _family_name(f"{owner}/{repository}")):
        return tagged
    is_newest = revision is None or revision in _NEWEST_REVISIONS
    return PastedName(f"{owner}/{repository}", path or None, None if is_newest else revision)


def _from_other_page(parts: list[str]) -> PastedName | None:
    """Read the address of a page of Ollama, LM Studio or Docker about a model of the family."""
    while parts and parts[0] in ("library", "models", "r", "qwen", "ai"):
        del parts[0]
    is_page = len(parts) == 1 or (len(parts) > 1 and parts[1] in ("tags", "blobs"))
    return _family_name(parts[0]) if is_page else None


def _file_in(parts: Sequence[str]) -> tuple[str, str | None]:
    """Return the path of a file or folder, and the revision, of the rest of an address."""
    match list(parts):
        case ["file", "view", revision, *path]:
            return "/".join(path), revision
        case [view, revision, *path] if view.lower() in _FILE_VIEWS:
            return "/".join(path), revision
        case [*path, name] if name.lower().endswith(".gguf"):
            return "/".join((*path, name)), None
        case _:
            return "", None


@cache
def _tagged_names() -> dict[str, str]:
    """Return the models of the family by their names in lower case and by the tags of Ollama for them.

    A tag that could be several models is the first of them in the catalogue.
    """
    names = {model.name.lower(): model.name for model in FAMILY} | _SHORT_TAGS
    for model in FAMILY:
        name = model.name.lower()
        if match := _SHORTENED.fullmatch(name):
            for short in (match["line"], match["size"], re.sub("-(?:instruct|thinking)$", "", name)):
                names.setdefault(short, model.name)
            for kind in ("instruct", "thinking"):
                if name.endswith(kind):
                    names.setdefault(f"{match['size']}-{kind}", model.name)
    return names


def _family_name(text: str) -> PastedName | None:
    """Read a tag such as `qwen3:8b-q4_K_M`, a file name, or the repository of the weights in 16 bits."""
    plain = _SPLIT_PART.sub("", text.lower()).removesuffix(".gguf")
    plain = re.sub(r"^(?:library|qwen|ai)/", "", plain)
    match = re.fullmatch(r"qwen3(?:[:-](?P<tag>.*))?|(?P<later>qwen3\.\d.*)", plain, re.DOTALL)
    if match is None or (text.lower().startswith("qwen/") and "gguf" in text.lower()):
        return None
    tag = match["tag"] or match["later"] or ""
    names = _tagged_names()
    line, _, size = tag.partition(":")
    if line in names:
        tag = line if size in ("", "latest") else f"{line}-{size}"
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
