"""A program that speaks the packets of the app in a browser, and says of each what it was."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path


def write(kind: bytes, payload: bytes) -> None:
    sys.stdout.buffer.write(kind + len(payload).to_bytes(4, "big") + payload)
    sys.stdout.buffer.flush()


def tell(**values: object) -> None:
    write(b"M", json.dumps(values).encode())


def obey(command: str) -> None:
    match command.partition(" "):
        case ("title", _, title):
            tell(type="title", value=title)
        case ("link", _, url):
            tell(type="open_url", url=url, new_tab=True)
        case ("file", _, text):
            number, path = tempfile.mkstemp()
            with open(number, "wb") as file:
                file.write(text.encode())
            tell(type="download", key=f"key-{Path(path).name}", path=path, name="对话 1.md")
        case ("fail", _, sentence):
            sys.exit(sentence)
        case _:
            write(b"D", f"typed:{command};".encode())


def main() -> None:
    """Write the start line, then answer packets until the input ends."""
    sys.stdout.buffer.write(b"__GANGLION__\n")
    write(b"D", f"size:{os.environ['COLUMNS']}x{os.environ['ROWS']};".encode())
    while header := sys.stdin.buffer.read(5):
        payload = sys.stdin.buffer.read(int.from_bytes(header[1:], "big")).decode()
        if header[:1] == b"D":
            obey(payload)
        elif (meta := json.loads(payload))["type"] == "quit":
            return
        else:
            write(b"D", f"meta:{meta['type']}:{meta.get('width')}x{meta.get('height')};".encode())


if __name__ == "__main__":
    main()
