"""Files that are whole or absent, whatever stops the writing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix; what was written there takes the place of `path` at the end.

    After an exception, a full disk among them, the temporary file is removed and `path` is as it was before. A process
    killed on the way leaves `path` as it was too, and a temporary file that the next writing overwrites.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(part), part):
            error.filename = str(path)  # a full disk does not say whose file it was
        raise
