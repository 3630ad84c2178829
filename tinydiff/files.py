"""Writing of files, such that each is the old one or the new one, complete, whatever stops the writing."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`, with its suffix; what was written there replaces `path` at the end.

    After an exception, a full disk among them, the temporary file is removed and `path` is as it was before. A process
    killed on the way leaves `path` as it was too, and a temporary file that the next writing overwrites.

    Parameters
    ----------
    path : str or os.PathLike
        The file to be written. Its folder must exist; a file of that name is replaced.

    Yields
    ------
    pathlib.Path
        Where to write, in the same folder: only within one file system is the replacement atomic.

    Raises
    ------
    OSError
        What the disk reports, with the name of the file where the system did not say it.
    FileNotFoundError
        If nothing was written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from tinydiff.files import atomic
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic(Path(folder) / "note.txt") as part:
    ...         size = part.write_text("all of it", encoding="utf-8")
    ...     print([file.name for file in Path(folder).iterdir()])
    ['note.txt']
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


def in_memory(write: Callable[..., None], *content: Any, **more: Any) -> memoryview:
    """The bytes that ``write(file, *content, **more)`` writes.

    Of a full disk NumPy's writers do not say what the system says: some raise an OSError that names neither the reason
    nor the file, or print a traceback beside it.
    """
    file = io.BytesIO()
    write(file, *content, **more)
    return file.getbuffer()
