"""Standard output and error of a long run, which goes on when nobody listens any more."""

from contextlib import suppress
from typing import Any, TextIO


class Lasting:
    """A stream that drops what cannot be written: to a pipe that was closed, or a terminal that has gone.

    A character that the stream does not have is written as a question mark.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")

    def write(self, text: str) -> int:
        """Write, if anyone listens."""
        with suppress(OSError, ValueError):  # ValueError for a stream that is closed on this side
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass on what was written, if anyone listens."""
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
