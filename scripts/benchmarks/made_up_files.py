"""The files of made-up models, which stay from one benchmark to the next."""

from __future__ import annotations

from pathlib import Path

from benchmarks.random_model import SHAPES, write_model

FOLDER = Path(__file__).resolve().parents[2] / "build" / "made-up"
QUANTS = {"Q8_0": 7, "Q4_K_M": 15}  # llama_ftype


def made_up_file(shape: str, quant: str, folder: Path = FOLDER) -> Path:
    """Return the file of a shape and quant; make it if it is missing, with llama.cpp for all but Q8_0."""
    path = folder / f"{shape}-{quant}.gguf"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    partial_file = path.with_suffix(".part")
    if quant == "Q8_0":
        write_model(partial_file, SHAPES[shape])
    else:
        _quantise(made_up_file(shape, "Q8_0", folder), partial_file, QUANTS[quant])
    return partial_file.replace(path)


def _quantise(source: Path, target: Path, ftype: int) -> None:
    from llama_cpp import llama_cpp as L  # noqa: N812 - as in the worker

    quiet = L.llama_log_callback(lambda *_: None)
    L.llama_log_set(quiet, None)
    params = L.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize = ftype, True
    try:
        if L.llama_model_quantize(str(source).encode(), str(target).encode(), params):
            raise RuntimeError(f"llama.cpp could not quantise {source}")
    finally:
        L.llama_log_set(L.llama_log_callback(), None)
