from __future__ import annotations

import sys

import pytest

from qwen3_chat.cli.doctor_command import find_problems, install_advised
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.models.hardware import BuildAdvice, advise_build
from tests.conftest import REPOSITORY
from tests.models.hardware.test_report import CPU, CUDA, NVIDIA, hardware


def advice(program: str) -> BuildAdvice:
    """Return advice whose command is a program of this test."""
    return BuildAdvice(NVIDIA, (sys.executable, "-c", program))


def test_a_build_that_sees_the_gpu_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    install_advised(advice("print('installed')"), lambda: hardware(CPU, CUDA))
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "installed" in captured.err
    assert "llama.cpp now uses NVIDIA GeForce RTX 4090." in captured.err


def test_an_installation_that_fails_is_an_error() -> None:
    with pytest.raises(EngineError, match="exit status 7"):
        install_advised(advice("raise SystemExit(7)"), lambda: hardware(CPU, CUDA))


def test_a_build_that_still_sees_no_gpu_is_an_error() -> None:
    with pytest.raises(EngineError, match="still does not see"):
        install_advised(advice("pass"), lambda: hardware(CPU, gpus=(NVIDIA,)))


def test_without_advice_nothing_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    install_advised(None, lambda: pytest.fail("nothing was to be done"))
    assert "nothing to fix" in capsys.readouterr().err


def test_the_doctor_names_the_idle_gpu_with_the_command() -> None:
    found = hardware(CPU, gpus=(NVIDIA,))
    (problem,) = find_problems(found, advise_build(found, "Linux"), REPOSITORY, None, [])
    assert "NVIDIA GeForce RTX 4090 lies idle" in problem.text
    assert "--only-binary llama-cpp-python" in problem.command


def test_the_doctor_says_why_llama_cpp_does_not_work() -> None:
    failure = EngineError(ErrorCode.LLAMA_CPP_BROKEN, reason="no such library")
    (problem,) = find_problems(hardware(failure=failure), None, REPOSITORY, None, [])
    assert problem.text == "llama.cpp does not work: llama.cpp could not be loaded: no such library"
    assert problem.error_code is ErrorCode.LLAMA_CPP_BROKEN


def test_the_doctor_warns_of_a_full_disk() -> None:
    (problem,) = find_problems(hardware(CPU), None, REPOSITORY, 10**9, [])
    assert "Less than 2.0 GiB is free" in problem.text
