"""The name by which a model's file is shown: the one in its header, or the file's own where that says more.

Headers get their names from converters, which take that of a folder if they know nothing better: `models`,
`.`, the hash of a snapshot, a step of a training run, for years `LLaMA v2` whatever the model was. Files are
named by those who publish them. Yet Ollama names files by checksums and Jan calls each `model.gguf`, so
either name may be the better one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from qwen3_chat.demo import DEMO_MODEL_NAME
from qwen3_chat.models.gguf_names import QUANT_PATTERN

_MAX_NAME_CHARACTERS: Final = 80
_MIN_HASH_DIGITS: Final = 8
_MAX_SIZE_RATIO: Final = 2.0
"""The number of weights is at most this many times what a name says, or this part of it."""
_UNITS: Final = {"b": 1e9, "m": 1e6}

_SIZE: Final = re.compile(r"(?<![a-z0-9.])(\d{1,5}(?:\.\d{1,3})?) ?([bm])(?![a-z0-9])", re.IGNORECASE)
_KIND: Final = re.compile(
    r"(?<![a-z])(?:instruct|chat|thinking|reasoning|coder|base|it|vl)(?![a-z])", re.IGNORECASE
)
_FAMILY: Final = re.compile(
    r"(?<![a-z])(code-?llama|tiny-?llama|llama|qwen|qwq|mistral|mixtral|ministral|magistral|devstral|codestral"
    r"|gemma|phi|deepseek|smollm|granite|glm|chatglm|falcon|yi|olmo|exaone|internlm|hunyuan|ernie|gpt-oss"
    r"|starcoder|vicuna|nemotron|command-r|minicpm|stablelm|lfm|kimi|minimax)"
    r"(?![a-z])[-_ ]?v?(\d{1,2}(?:\.\d{1,2})?(?![\d.]* ?[bm](?![a-z])))?",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[^\W_]+")
_TEMPORARY: Final = re.compile(r"tmp[a-z0-9_]{8}", re.IGNORECASE)
_GENERIC: Final = frozenset(
    """
    a bf bf16 bin cache checkpoint ckpt content convert converted data default dl download downloads export
    f16 f32 file files final float16 float32 fp16 fp32 ggml gguf hf home hub huggingface latest llm local lora
    main master merged model models my n na name new no none null out output path pytorch quantized release
    result results root run safetensors save saved snapshot snapshots src step temp test tmp unknown
    unnamed untitled usr v weights work workspace
    """.split()  # noqa: SIM905 - a table of words
)
"""Words that name no model, alone or together."""


def displayed_name(title: str, path: Path, n_weights: int = 0) -> str:
    """Return the name to show for a model's file with this title in its header.

    `n_weights` is the number of its weights, 0 where that is not known; a title with another size is wrong.
    """
    title = _last_part(_cleaned(title))
    if title == DEMO_MODEL_NAME:
        return title
    own = _without_suffix(_cleaned(path.name))
    if not _names_model(own):
        folder = _without_suffix(_cleaned(path.parent.name))
        own = folder if _details(folder) and _names_model(folder) else own
    if not _names_model(own):
        return own if not title or _is_hash(title) else title
    if not _names_model(title) or _is_another_model(title, own, n_weights):
        return own
    return own if _details(own) > _details(title) else title


def _cleaned(text: str) -> str:
    """Return a name on one line, without what can't be seen."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def _last_part(title: str) -> str:
    """Return what follows the folders, where a title is a path or the name of a repository."""
    if " " in title and not re.match(r"[~.]?[\\/]|[a-z]:[\\/]", title, re.IGNORECASE):
        return title
    return re.split(r"[\\/]", title.rstrip("\\/"))[-1]


def _without_suffix(name: str) -> str:
    """Return a file's name without its ending, its part's number and, unless it has no other, its quant."""
    stem = re.sub(r"(?:-\d{5}-of-\d{5})?(?:\.gguf|-gguf)?$", "", name, flags=re.IGNORECASE)
    return re.sub(rf"[-._ ]{QUANT_PATTERN}$", "", stem, flags=re.IGNORECASE).strip() or stem


def _names_model(name: str) -> bool:
    if len(name) > _MAX_NAME_CHARACTERS or "\N{REPLACEMENT CHARACTER}" in name or _is_hash(name):
        return False
    words = _WORD.findall(_KIND.sub(" ", _SIZE.sub(" ", name)).lower())
    return not _TEMPORARY.fullmatch(name) and any(
        word not in _GENERIC and not word.isdecimal() for word in words
    )


def _is_hash(name: str) -> bool:
    """Return whether a name is a checksum, an id or a date: hexadecimal digits, some of them decimal."""
    digits = "".join(_WORD.findall(name.lower().removeprefix("sha256")))
    is_hexadecimal = len(digits) >= _MIN_HASH_DIGITS and re.fullmatch(r"[0-9a-f]+", digits) is not None
    return is_hexadecimal and any(digit.isdecimal() for digit in digits)


def _is_another_model(title: str, own: str, n_weights: int) -> bool:
    """Return whether a title is that of another model, by the number of weights or by the file's name."""
    if _has_other_size(title, n_weights) and not _has_other_size(own, n_weights):
        return True
    titles, owns = _families(title), _families(own)
    return bool(titles and owns) and not any(
        family == other and (not version or not other_version or version == other_version)
        for family, version in titles
        for other, other_version in owns
    )


def _has_other_size(name: str, n_weights: int) -> bool:
    sizes = [float(number) * _UNITS[unit.lower()] for number, unit in _SIZE.findall(name)]
    return n_weights > 0 and bool(sizes) and not any(_is_near(size, n_weights) for size in sizes)


def _is_near(size: float, n_weights: int) -> bool:
    return size / _MAX_SIZE_RATIO <= n_weights <= size * _MAX_SIZE_RATIO


def _families(name: str) -> set[tuple[str, str]]:
    return {(family.lower().replace("-", ""), version) for family, version in _FAMILY.findall(name)}


def _details(name: str) -> set[str]:
    """Return which of size and kind a name tells."""
    patterns = {"size": _SIZE, "kind": _KIND}
    return {detail for detail, pattern in patterns.items() if pattern.search(name)}
