from __future__ import annotations

import pytest

from qwen3_chat.texts.formatting import GIB, MIB, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("8GiB", 8 * GIB),
        ("8 gib", 8 * GIB),
        ("1.5GiB", 3 * GIB // 2),
        ("512MiB", 512 * MIB),
        ("8GB", 8 * 10**9),
        ("8G", 8 * 10**9),
        ("8Gi", 8 * GIB),
        ("1TiB", 1024 * GIB),
        ("0", 0),
        ("1024", 1024),
        (".5 GiB", GIB // 2),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GiB",
        "8 XB",
        "-1GiB",
        "8iB",
        "eight",
        "1e9",
        "8GiB!",
        "nan",
        "inf",
        "9" * 400,
        "9" * 400 + "GiB",
        "2000TiB",
    ],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    assert parse_size(text) is None


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 MiB"),
        (7, "1 KiB"),
        (12_400, "12 KiB"),
        (640 * MIB, "640 MiB"),
        (5 * GIB + 900 * MIB, "5.9 GiB"),
        (131 * GIB, "131 GiB"),
    ],
)
def test_sizes_are_written_with_the_digits_that_matter(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text
