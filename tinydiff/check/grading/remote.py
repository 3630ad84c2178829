"""A student's function in a process of its own, as a function that can be called here."""

import contextlib
import inspect
import json
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
from tinydiff.check.probe import ANSWERS, BUDGET, FAST, LIMIT, STUB, Broken

MEMORY = 2 << 30  # bytes
UNREADABLE = "an answer that cannot be read: "
START, FIRST = 30.0, 10.0  # seconds for the lines that define a function, and for its first call: both may import


class Remote:
    """A function that a text defines, run in a child process; its calls raise Broken for whatever fails there.

    Parameters
    ----------
    file, text, name : str
        What to call the text in messages, the text, and the function's name in it.
    """

    def __init__(self, file: str, text: str, name: str):
        self.__name__, self.first = name, True
        self.spent, self.ended, self.functions = 0.0, "", list[Callable]()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", child.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={key: os.environ[key] for key in ("SYSTEMROOT", "PATH") if key in os.environ}
            | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        self.requests, self.replies = cast(BinaryIO, self.process.stdin), queue.Queue[Any](maxsize=8)
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()
        order = {"file": file, "text": text, "name": name, "memory": MEMORY, "seconds": int(BUDGET + START)}
        with contextlib.suppress(OSError):
            self.requests.write(json.dumps(order | {"paths": paths()}).encode() + b"\n")
            self.requests.flush()
        try:
            made = self._receive(START)
            if "raised" in made:
                text, where = made["raised"]
                raise Broken(str(text), "a function", str(where), ANSWERS)
            self.number, self.empty = int(made["function"]), bool(made["empty"])
            self.__signature__ = signature(made["parameters"])
        except Broken:
            self.close()
            raise
        except (KeyError, IndexError, TypeError, ValueError) as error:
            self.close()
            raise Broken(f"{UNREADABLE}{error}", "a function", "", ANSWERS) from None

    def __call__(self, *args: Any) -> Any:
        """Its answer; arrays that it has changed are changed here too."""
        self.functions.clear()
        return self._call(self.number, args, {})

    def _call(self, number: int, args: tuple, named: dict) -> Any:
        if self.spent > BUDGET:
            words = f"calls took {self.spent:.0f} s"
            raise Broken(words, "calls of a millisecond", "It is too slow to be tried on enough cases.", FAST)
        start = time.monotonic()
        try:
            self._send({"call": number, "value": list(args)})
            limit, self.first = FIRST if self.first else LIMIT, False
            while "call" in (reply := self._receive(start + limit - time.monotonic())):
                self._answer(reply)
            changed = [int(i) for i in reply["changed"]]
            for i, now in zip(changed, reply["value"][len(reply["value"]) - len(changed) :], strict=True):
                if isinstance(args[i], np.ndarray) and np.shape(now) == args[i].shape:
                    args[i][...] = now
        except (KeyError, IndexError, TypeError, ValueError) as error:
            self.close(f"{UNREADABLE}{error}")
            raise Broken(self.ended, "numbers", "", ANSWERS) from None
        finally:
            self.spent += time.monotonic() - start
        if "raised" in reply:
            text, where = reply["raised"]
            raise Broken(str(text), "an answer", STUB if reply["stub"] else str(where), ANSWERS)
        return reply["value"][0]

    def _answer(self, request: dict[str, Any]) -> None:
        """Call the function that the student calls, for them."""
        values, names = request["value"], request["named"]
        count = len(values) - len(names)
        args, named = values[:count], dict(zip(names, values[count:], strict=True))
        try:
            result = self.functions[request["call"]](*args, **named)
        except Exception as error:
            self._send({"raised": f"{error}"})
            return
        same = [i for i, value in enumerate(values) if value is result]
        self._send({"argument": same[0]} if same and isinstance(result, np.ndarray) else {"value": result})

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # where the process has ended, the next answer says so
            child.send(self.requests, message, self._keep)

    def _keep(self, function: Callable) -> int:
        if function not in self.functions:
            self.functions.append(function)
        return self.functions.index(function)

    def _listen(self) -> None:
        """Put all messages of the child, and at last the error that ended them, into the queue."""
        with cast(BinaryIO, self.process.stdout) as stream:
            while True:
                try:
                    self.replies.put(child.receive(stream, self._call))
                except Exception as error:
                    self.replies.put(error)
                    return

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
        said = self.close("the process ended" if isinstance(message, EOFError) else f"{UNREADABLE}{message}")
        if said:  # Python itself, before the student's lines, such as that NumPy is missing
            raise ChildProcessError(f"no student's function can be run here: {said}")
        raise Broken(self.ended, "an answer", "Something in it ends Python, or takes too much memory.", ANSWERS)

    def close(self, words: str = "the process ended") -> str:
        """End the process, and all that it has begun; what it has said on standard error."""
        if self.ended:
            return ""
        self.ended = words
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (AttributeError, OSError):  # Windows has no groups; or it has ended
            self.process.kill()
        self.process.wait()
        with cast(BinaryIO, self.process.stderr) as stderr:
            with contextlib.suppress(AttributeError, OSError):  # Windows learned it with Python 3.12
                os.set_blocking(stderr.fileno(), False)
            said = (stderr.read() or b"").decode(errors="replace").strip()[-500:]
        with contextlib.suppress(OSError):
            self.requests.close()
        with contextlib.suppress(queue.Empty):
            while True:  # the listener may wait for room
                self.replies.get_nowait()
        self.listener.join(1)  # a process that has left the group may hold the other end
        return said


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
