"""A student's function in a process of its own, as a function that can be called here.

Whatever comes from there is believed to be nothing but numbers: it has bounds of time and size, and what it is not made
to be ends the process.
"""

import contextlib
import inspect
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from tinydiff.check.grading import child
from tinydiff.check.grading.child import printable
from tinydiff.check.grading.source import Source
from tinydiff.check.probe import ANSWERS, FAST, LIMIT, STUB, Broken

MEMORY = 2 << 30  # bytes
START, DEFINE, FIRST = 60.0, 10.0, 10.0  # seconds for Python and NumPy, for a function's lines, and for its first call
TOTAL = 30.0  # seconds for all calls
SIZE = 1_000_000  # numbers that the arguments of a function of ours may make together
UNREADABLE = "an answer that cannot be read: "


class Remote:
    """A function that a source defines, run in a child process; its calls raise Broken for whatever fails there.

    Parameters
    ----------
    source : Source
        The student's file.
    name : str
        The function's name in it.

    Raises
    ------
    Broken
        Where the lines that define it fail.
    ChildProcessError
        Where Python or NumPy do not start.
    """

    def __init__(self, source: Source, name: str):
        self.__name__, self.spent, self.first, self.ended = name, 0.0, True, ""
        self.functions: list[Callable] = []  # of ours, that the student may call
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", child.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={key: os.environ[key] for key in ("SYSTEMROOT", "PATH") if key in os.environ}
            | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        self.requests, self.replies = queue.SimpleQueue[bytes | None](), queue.Queue[Any](maxsize=8)
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._listen, self._write)]
        for thread in self.threads:
            thread.start()
        order = {"file": source.path.name, "text": source.of(name), "name": name, "postponed": source.postponed}
        bounds = {"memory": MEMORY, "seconds": int(DEFINE + FIRST + TOTAL) + 10}
        self.requests.put(json.dumps(order | bounds | {"paths": paths()}).encode() + b"\n")
        self._start()
        try:
            made = self._receive(DEFINE)
            if "raised" in made:
                text, where = map(printable, made["raised"])
                raise Broken(text, "a function", where, ANSWERS)
            self.number, self.empty = int(made["function"]), bool(made["empty"])
            self.__signature__ = signature(made["parameters"])
        except Broken:
            self.close()
            raise
        except Exception as error:
            raise self._unreadable(error) from None

    def __call__(self, *args: Any) -> Any:
        """Its answer; arrays that it has changed are changed here too."""
        return self._call(self.number, args, {})

    def _call(self, number: int, args: tuple, named: dict) -> Any:
        if self.spent > TOTAL:
            words = f"calls took {self.spent:.0f} s"
            raise Broken(words, "calls of a millisecond", "It is too slow to be tried on enough cases.", FAST)
        start = time.monotonic()
        limit, self.first = FIRST if self.first else LIMIT, False
        try:
            if not self.replies.empty():
                raise ValueError("it came before the question")
            self._send({"call": number, "value": list(args)})
            while "call" in (reply := self._receive(start + limit - time.monotonic())):
                self._answer(reply)
            count, mine = len(reply["value"]) - len(reply["changed"]), child.arrays(args)
            for i, now in zip(reply["changed"], reply["value"][count:], strict=True):
                if isinstance(mine[i], np.ndarray) and (now is None or np.shape(now) == mine[i].shape):
                    mine[i][...] = np.nan if now is None else now
            if "raised" in reply:
                text, where = map(printable, reply["raised"])
                raise Broken(text, "an answer", STUB if reply["stub"] else where, ANSWERS)
            return reply["value"][0]
        except Broken:
            raise
        except Exception as error:
            raise self._unreadable(error) from None
        finally:
            self.spent += time.monotonic() - start

    def _answer(self, request: dict[str, Any]) -> None:
        """Call the function that the student calls, for them, with numbers that do not make too many."""
        values, names = request["value"], request["named"]
        count = len(values) - len(names)
        try:
            if not all(isinstance(value, int | float | np.ndarray | np.generic) for value in values):
                raise TypeError("a function takes numbers and arrays")
            if together(values) > SIZE:
                raise ValueError("more numbers than this is for")
            function = self.functions[request["call"]]
            result = function(*values[:count], **dict(zip(names, values[count:], strict=True)))
        except Exception as error:
            self._send({"raised": f"{error}"})
            return
        same = [i for i, value in enumerate(values) if value is result]
        self._send({"argument": same[0]} if same and isinstance(result, np.ndarray) else {"value": result})

    def _keep(self, function: Callable) -> int:
        self.functions.append(function)
        return len(self.functions) - 1

    # ---- the two ends of the pipes

    def _send(self, message: dict[str, Any]) -> None:
        self.requests.put(child.encode(message, self._keep))

    def _write(self) -> None:
        """Pass on what is to be sent; to one who does not read, this waits, and not the judge."""
        with contextlib.suppress(OSError), cast(BinaryIO, self.process.stdin) as stream:
            while (message := self.requests.get()) is not None:
                stream.write(message)
                stream.flush()

    def _listen(self) -> None:
        """Put all messages of the child, and at last the error that ended them, into the queue."""
        with cast(BinaryIO, self.process.stdout) as stream:
            while True:
                try:
                    self.replies.put(child.receive(stream, self._call))
                except Exception as error:
                    self.replies.put(error)
                    return

    def _start(self) -> None:
        """Wait until Python and NumPy are there, before any line of the student's; else it is nobody's mark."""
        message: Any = None
        with contextlib.suppress(queue.Empty):
            message = self.replies.get(timeout=START)
        if not isinstance(message, dict):
            self.process.kill()
            said = cast(BinaryIO, self.process.stderr).read().decode(errors="replace").strip()[-500:]
            self.close()
            raise ChildProcessError(f"no student's function can be run here: {said or 'Python does not start'}")

    def _receive(self, seconds: float) -> dict[str, Any]:
        """The next message; Broken where there is none in time."""
        if self.ended:
            raise Broken(self.ended, "an answer", "", ANSWERS)
        try:
            message = self.replies.get(timeout=max(seconds, 0.01))
        except queue.Empty:
            self.close("no answer in time")
            raise Broken(self.ended, "an answer", "Is there a loop that never ends?", ANSWERS) from None
        if isinstance(message, dict):
            return message
        if not isinstance(message, EOFError):
            raise self._unreadable(message)
        self.close()
        raise Broken(self.ended, "an answer", "Something in it ends Python, or takes too much memory.", ANSWERS)

    def _unreadable(self, error: Exception) -> Broken:
        self.close(f"{UNREADABLE}{printable(error)[:200]}")
        return Broken(self.ended, "numbers", "", ANSWERS)

    def close(self, words: str = "the process ended") -> None:
        """End the process, and all that it has begun."""
        if self.ended:
            return
        self.ended = words
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (AttributeError, OSError):  # Windows has no groups; or it has ended
            self.process.kill()
        self.process.wait()
        cast(BinaryIO, self.process.stderr).close()
        self.requests.put(None)
        with contextlib.suppress(queue.Empty):
            while True:  # who listens may wait for room
                self.replies.get_nowait()
        for thread in self.threads:
            thread.join(1)  # a process that has left the group may hold the other ends


def paths() -> list[str]:
    """Where libraries lie, as absolute paths."""
    return [str(Path(path).resolve()) for path in sys.path if path]


def signature(parameters: list[list] | None) -> inspect.Signature | None:
    """The signature, as inspect has it."""
    if parameters is None:
        return None
    known = []
    for name, kind, default in parameters:
        value = default[0] if default else inspect.Parameter.empty
        known.append(inspect.Parameter(str(name), inspect._ParameterKind(kind), default=value))
    return inspect.Signature(known)


def together(values: list) -> int:
    """How many numbers a function may make of these: as they broadcast or, where they do not, each with each."""
    try:
        return math.prod(np.broadcast_shapes(*map(np.shape, values)))
    except ValueError:  # points (B, D) and a time (B,) of each
        return math.prod(map(np.size, values))
