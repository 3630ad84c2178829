"""A student's function, called so that whatever it does ends in a number or in a sentence that helps.

It gets copies of its arguments, may print, raise, return nothing or never return. It runs in a thread of its own, which
is given up when one call takes longer than LIMIT seconds.
"""

import contextlib
import ctypes
import io
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tinydiff.check.grading.child import is_empty

LIMIT = 2.0  # seconds for one call
BUDGET = 60.0  # seconds for all calls of a check together


class Broken(Exception):
    """A law does not hold: what was got, what was expected, and a sentence that helps."""

    def __init__(self, yours: Any, expected: Any, sentence: str = "", law: str = "", what: str = ""):
        super().__init__(sentence)
        self.yours, self.expected, self.sentence, self.law, self.what = yours, expected, sentence, law, what
        self.calls: list[tuple] | None = None  # that show it, where they are known
        self.index: int | None = None  # of the pair that a law yielded, where it did


class Stop(BaseException):
    """Ends a call that took too long; not an Exception, which the function might catch."""


class Sink(io.StringIO):
    """Keeps the beginning of what is printed, and cannot be closed."""

    def write(self, text: str) -> int:
        """Take the text, and keep it while there is room."""
        return super().write(text) if self.tell() < 10_000 else len(text)

    def close(self) -> None:
        """Stay open."""


ANSWERS = "it answers with numbers"
FAST = "it is quick enough to be checked"
OURS = str(Path(__file__).parent)
NESTED = "Call check below the function, not in it: at the left margin."
STUB = "Write its body, then check again."
RETURN = "Is a `return` missing?"


class Probe:
    """The function as laws see it: arrays in, float arrays out, or Broken."""

    def __init__(self, function: Callable, outputs: list[str], call: Callable | None = None):
        self.function, self.outputs = function, outputs
        self.call = function if call is None else call  # of all arguments, those of a pullback that it returns too
        self.calls: list[tuple] = []  # those that the present comparison rests on
        self.begun = False  # a new comparison, whose first call starts the list anew
        self.complaints: set[str] = set()  # of NumPy, in the last call
        self.count, self.spent = 0, 0.0  # calls so far, and the seconds that they took
        self.since = 0.0  # when the present one began, or 0
        self.finding: Broken | None = None  # what is known to be broken, while hints are sought
        self.stopped = False  # because it took too long
        self.printed = Sink()

    def __call__(self, *args: Any) -> Any:
        """Its answer to copies of these arguments: one array, or a tuple of one for each output."""
        self.note(args)
        return self.answer(list(map(copied, args)))

    def begin(self) -> None:
        """Begin a new comparison; where it makes no calls of its own, it rests on those before."""
        self.begun = True

    def note(self, args: tuple) -> None:
        """Keep the arguments of a call."""
        if self.begun:
            self.calls.clear()
        self.begun = False
        self.calls.append(args)

    def answer(self, args: list) -> Any:
        """Its answer to these very arguments."""
        if self.stopped:
            raise Stop
        self.count += 1
        self.complaints.clear()
        self.since = time.monotonic()
        try:
            with np.errstate(all="call", call=lambda kind, _: self.complaints.add(kind)):
                returned = self.call(*args)
        except Broken:  # of a pullback, or of a function in another process
            raise
        except BaseException as error:
            if isinstance(error, Stop) and self.stopped:
                raise
            raise Broken(*_raised(error), law=ANSWERS) from None
        finally:
            self.spent += time.monotonic() - self.since
            self.since = 0.0
        if self.stopped:  # the function has caught the first
            raise Stop
        try:
            return self._numbers(returned)
        except Broken:
            raise
        except Exception as error:  # in the answer's own methods
            raise Broken(f"an answer that cannot be read: {_text(error)}", "numbers", law=ANSWERS) from None

    def _numbers(self, returned: Any) -> Any:
        if returned is None or returned is ...:
            empty = getattr(self.function, "empty", None)
            fix = STUB if returned is ... or empty or is_empty(self.function) else RETURN
            raise Broken(f"{returned}".replace("Ellipsis", "..."), f"numbers: {', '.join(self.outputs)}", fix, ANSWERS)
        if len(self.outputs) == 1:
            return as_array(returned, self.outputs[0])
        names = f"({', '.join(self.outputs)})"
        if not isinstance(returned, tuple | list) or len(returned) != len(self.outputs):
            got = f"a {type(returned).__name__}"
            if isinstance(returned, tuple | list):
                got += f" of {len(returned)}"
            raise Broken(got, f"a tuple {names}", f"Return all {len(self.outputs)}, in this order.", ANSWERS)
        return tuple(as_array(value, name) for value, name in zip(returned, self.outputs, strict=True))


def copied(value: Any) -> Any:
    """An array, or a list of arrays, that may be changed; anything else as it is."""
    if isinstance(value, list):
        return [copied(one) for one in value]
    return np.array(value) if isinstance(value, np.ndarray) else value


def as_array(value: Any, name: str) -> np.ndarray:
    """The value as an array of real numbers, or Broken."""
    expected = f"numbers: {name}"
    if value is None:
        raise Broken("None", expected, "It has no number.", ANSWERS)
    if isinstance(value, tuple):
        raise Broken(f"a tuple of {len(value)}", f"an array: {name}", f"Return {name} alone.", ANSWERS)
    if isinstance(value, list):
        fix = "Compute with arrays as they come; np.array(…) makes one of a list."
        raise Broken(f"a list, {value!r:.60}", f"an array: {name}", fix, ANSWERS)
    if callable(value):
        raise Broken("a function", expected, "Call it, and return what it gives.", ANSWERS)
    array = np.array(value)  # a copy: the function may use its array again
    if array.dtype.kind == "c":
        raise Broken("complex numbers", f"real {expected}", "Return the real part.", ANSWERS)
    if array.dtype.kind not in "fiu":
        raise Broken(f"{type(value).__name__} {value!r:.60}", expected, "Return numbers.", ANSWERS)
    return array


def _raised(error: BaseException) -> tuple[str, str, str]:
    """What was raised, and where in the student's own lines."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(OURS)]
    inner = [frame for frame in frames if frame.filename == frames[0].filename]
    text = _text(error)
    sentence = f"Raised in line {inner[-1].lineno} of {inner[-1].name}: {inner[-1].line}" if inner else ""
    if type(error) is NotImplementedError:  # Jupyter's error for input() is another kind of it
        sentence = STUB
    return text, "an answer", sentence


def _text(error: BaseException) -> str:
    """The exception in words, no more than a few lines, even where it cannot say itself."""
    try:
        return f"{type(error).__name__}: {error}".removesuffix(": ")[:300]
    except Exception:
        return type(error).__name__


INSIDE = threading.local()
ONE_AT_A_TIME = threading.Lock()  # the output is redirected for all threads together


def in_time(probe: Probe, work: Callable[[], None]) -> None:
    """Do work(), its prints going to probe.printed; Broken when a call takes longer than LIMIT, or all than BUDGET.

    What work() raises is raised here.
    """
    if getattr(INSIDE, "check", False):
        raise Broken("a check within the function", "an answer", NESTED, ANSWERS)
    outcome: list[BaseException | None] = []

    def run() -> None:
        INSIDE.check = True
        try:
            with np.errstate(all="ignore"):  # what laws compute of absurd answers
                work()
            outcome.append(None)
        except BaseException as error:
            outcome.append(error)
        finally:
            INSIDE.check = False

    redirected = contextlib.redirect_stdout(probe.printed), contextlib.redirect_stderr(probe.printed)
    with ONE_AT_A_TIME, redirected[0], redirected[1], warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            thread = threading.Thread(target=run, daemon=True)
            thread.start()
        except RuntimeError:  # a browser's Python has no threads: no limit there
            run()
        else:
            _watch(thread, probe)
    if outcome[0] is not None:
        raise outcome[0]


def _watch(thread: threading.Thread, probe: Probe) -> None:
    """Wait for the thread; stop it, and raise Broken, when it takes too long."""
    imported = 0.0
    try:
        while thread.is_alive():
            thread.join(0.02)
            now, since = time.monotonic(), probe.since
            if since and now - since > LIMIT and _imports(thread):
                imported = now  # which is no part of the function, and left alone: half a module helps nobody
            if since and now - max(since, imported) > LIMIT:
                raise probe.finding or Broken(
                    f"no answer within {LIMIT:g} s", "an answer", "Is there a loop that never ends?", ANSWERS
                )
            if probe.spent > BUDGET:
                each = f"{probe.count} calls took {probe.spent:.0f} s"
                raise probe.finding or Broken(
                    each,
                    "calls of a millisecond",
                    "It may be right, but is too slow to be tried on enough cases.",
                    FAST,
                )
    finally:
        if thread.is_alive():
            probe.calls, probe.stopped = list(probe.calls), True
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Stop))


def _imports(thread: threading.Thread) -> bool:
    """Whether the thread is importing a module."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None
