"""Standard output and error of a long run, which goes on when nobody listens any more."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
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
        with self._dropping():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass on what was written, if anyone listens."""
        with self._dropping():
            self._stream.flush()

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        """Where nobody listens, lead the stream to where nobody need: else Python fails to flush it as it ends."""
        try:
            yield
        except ValueError:  # it is closed on this side
            pass
        except OSError:
            with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def lasting(out: TextIO, err: TextIO) -> Iterator[None]:
    """Let what is done here outlast whoever reads it: the two streams, and the terminal, whose hang-up is ignored."""
    usual = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGHUP")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN) if usual else None
    try:
        with redirect_stdout(Lasting(out)), redirect_stderr(Lasting(err)):
            yield
    finally:
        if usual:
            signal.signal(signal.SIGHUP, before)
