"""Files that hold a key of the installation: made once, readable by us alone, never seen half written."""

from __future__ import annotations

import os
from pathlib import Path


def write_new(file: Path, content: bytes) -> None:
    """Write a new key so that nobody ever sees half of one; the first of two that do it at once wins. OSError when it cannot be made."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f"{file.name}.{os.getpid()}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
