"""The site of the documents, from the same files that the repository shows; needs mkdocs-material."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = Path("build", "site", "source")
_LINK = re.compile(r"\]\((?P<target>[^)#\s]+)(?:#[^)\s]*)?\)")


def copy_documents(root: Path, target: Path) -> list[Path]:
    """Copy the documents and the files that they link to into an empty folder, in the same layout.

    Return the documents, relative to the folder.
    """
    shutil.rmtree(target, ignore_errors=True)
    documents = sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md")])
    linked = {
        (path.parent / match["target"]).resolve()
        for path in documents
        for match in _LINK.finditer(path.read_text("utf-8"))
        if "://" not in match["target"]
    }
    others = {path for path in linked if path.is_file() and path.is_relative_to(root.resolve())}
    pictures = [path for path in (root / "docs").rglob("*") if path.suffix in (".svg", ".png")]
    for path in {*documents, *pictures, *others}:
        copy = target / path.resolve().relative_to(root.resolve())
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return [path.relative_to(root) for path in documents]


def build_site(root: Path, config: Path) -> subprocess.CompletedProcess[str]:
    """Build the site that a configuration in the repository describes; a dead link is an error."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--config-file", str(config)]
    environ = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # an advertisement of the theme
    return subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, check=False)


def main() -> int:
    """Build the site into build/site/html."""
    copy_documents(ROOT, ROOT / SOURCE)
    built = build_site(ROOT, ROOT / "mkdocs.yml")
    print(built.stdout + built.stderr, end="", file=sys.stderr if built.returncode else sys.stdout)
    return built.returncode


if __name__ == "__main__":
    sys.exit(main())
