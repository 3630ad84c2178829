"""The process that a student's functions run in, and the messages that it and the judge exchange.

It is run as a program of its own, ``python -I -S child.py``, and imports NumPy and nothing of tinydiff. A message is a
length, so many bytes of JSON, and the bytes of the arrays that the JSON describes: no pickle, so that to read an answer
runs nothing. Functions stay where they are and are called from the other side.
"""

import __future__

import contextlib
import dis
import importlib.machinery
import inspect
import json
import os
import struct
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any, BinaryIO, cast

MOST, LENGTH = 1 << 20, 100_000  # bytes of a message's JSON and of its arrays; and the longest axis of an array
KINDS = "biufc"  # of arrays that are sent as bytes


# ---- messages


def pack(value: Any, buffers: list[bytes], keep: Callable[[Callable], int]) -> Any:
    """The value as JSON, its arrays added to the buffers, and its functions kept for calls from the other side."""
    import numpy as np

    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list | tuple):
        return {type(value).__name__: [pack(one, buffers, keep) for one in value]}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in KINDS:
        array = np.asarray(value)
        buffers.append(array.tobytes())
        return {"array": [array.dtype.str, list(array.shape), isinstance(value, np.generic)]}
    if callable(value):
        return {"function": keep(value)}
    if hasattr(value, "__array__"):  # PyTorch's, say
        return pack(np.asarray(value), buffers, keep)
    return {"other": [type(value).__name__, f"{value!r:.60}"]}


def unpack(packed: Any, data: memoryview, call: Callable[..., Any], at: list[int] | None = None) -> Any:
    """The value that was packed; ValueError where it is not one."""
    import numpy as np

    at = [0] if at is None else at  # how much of the data is used
    if not isinstance(packed, dict):
        return packed
    ((kind, content),) = packed.items()
    if kind in ("list", "tuple"):
        values = [unpack(one, data, call, at) for one in content]
        return values if kind == "list" else tuple(values)
    if kind == "array":
        dtype, shape, scalar = np.dtype(content[0]), tuple(map(int, content[1])), content[2]
        count = int(np.prod(shape, dtype=object))
        fits = all(0 <= length <= LENGTH for length in shape) and at[0] + count * dtype.itemsize <= len(data)
        if dtype.kind not in KINDS or not fits:
            raise ValueError("an array that does not fit")
        array = np.frombuffer(data, dtype, count, at[0]).reshape(shape).copy()
        at[0] += count * dtype.itemsize
        return array[()] if scalar else array
    if kind == "function":
        return lambda *args, **named: call(int(content), args, named)
    if kind == "other":
        return type(printable(content[0]), (), {"__repr__": lambda _: printable(content[1])})()
    raise ValueError(f"a value of the kind {kind!r}")


def printable(text: Any) -> str:
    """The text without what could disturb a terminal or cannot be written."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in str(text))


def encode(message: dict[str, Any], keep: Callable[[Callable], int]) -> bytes:
    """A message as bytes; what it holds under "value" may be anything."""
    buffers: list[bytes] = []
    text = json.dumps(message | {"value": pack(message.get("value"), buffers, keep)}).encode()
    return struct.pack(">QQ", len(text), sum(map(len, buffers))) + text + b"".join(buffers)


def receive(stream: BinaryIO, call: Callable[..., Any]) -> dict[str, Any]:
    """Read a message; EOFError at the end, and ValueError for what is none."""
    head = stream.read(16)
    if len(head) < 16:
        raise EOFError
    text, size = struct.unpack(">QQ", head)
    if max(text, size) > MOST:
        raise ValueError(f"a message of {text + size} bytes")
    message, data = json.loads(stream.read(text)), memoryview(stream.read(size))
    return message | {"value": unpack(message.get("value"), data, call)}


def arrays(values: list | tuple) -> list[Any]:
    """All arrays among the values, those in lists too."""
    found = []
    for one in values:
        if isinstance(one, list):
            found += arrays(one)
        elif hasattr(one, "tobytes"):
            found.append(one)
    return found


# ---- the student's side


def is_empty(function: Callable) -> bool:
    """Whether the body of a function does nothing, as that of an exercise before it is begun."""
    code = getattr(function, "__code__", None)
    idle = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}
    return code is not None and {step.opname for step in dis.get_instructions(code)} <= idle


def parameters(function: Callable) -> list[list] | None:
    """The name and kind of each, and its default, as text where it is no number."""
    try:
        known = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None

    def plain(default: Any) -> list:
        if default is inspect.Parameter.empty:
            return []
        return [default if isinstance(default, int | float | None) else f"{default!r:.60}"]

    return [[p.name, int(p.kind), plain(p.default)] for p in known]


class Absent(ModuleType):
    """What stands for tinydiff, whose functions are no answers of one's own: it may be named, and not be called."""

    __path__: list[str] = []  # noqa: RUF012 - a module's

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(name)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Say so."""
        raise ModuleNotFoundError("tinydiff is not here: a grade is for functions of your own")


class Libraries(importlib.machinery.PathFinder):
    """Finds all that is installed, and what stands for tinydiff."""

    paths: list[str] = []  # noqa: RUF012 - one for the process

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> Any:
        """Where a module lies."""
        if fullname.split(".")[0] == "tinydiff":
            return importlib.machinery.ModuleSpec(fullname, cast(Any, cls), is_package=True)
        return super().find_spec(fullname, cls.paths if path is None else path, target)

    @staticmethod
    def create_module(spec: Any) -> ModuleType:
        """What stands for a module of tinydiff."""
        return Absent(spec.name)

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Nothing is in it."""


def limit(memory: int, seconds: int) -> None:
    """Bound memory and processor time, and let no file be written and no process begun; Windows has no such bounds."""
    with contextlib.suppress(ImportError):
        import resource

        bounds = {"AS": memory, "CPU": seconds, "FSIZE": 0, "NPROC": 1}
        for kind, most in bounds.items():
            with contextlib.suppress(ValueError, OSError):  # one that is lower already
                resource.setrlimit(getattr(resource, f"RLIMIT_{kind}"), (most, most))


def words(error: BaseException, file: str) -> list[str]:
    """What was raised, and where in the student's own lines."""
    inner = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    try:
        text = f"{type(error).__name__}: {error}".removesuffix(": ")[:300]
    except Exception:
        text = type(error).__name__
    where = f"Raised in line {inner[-1].lineno} of {inner[-1].name}: {inner[-1].line}" if inner else ""
    return [text, where.replace(" of <module>", "")]


class Student:
    """The functions that live here, and the way to those that live with the judge."""

    def __init__(self, requests: BinaryIO, replies: BinaryIO):
        self.requests, self.replies = requests, replies
        self.functions: list[Callable] = []

    def keep(self, function: Callable) -> int:
        """Its number, by which the judge calls it."""
        self.functions.append(function)
        return len(self.functions) - 1

    def call(self, number: int, args: tuple, named: dict) -> Any:
        """The answer of a function of the judge's; one that gives back an argument gives back this very one."""
        self.send({"call": number, "named": list(named), "value": [*args, *named.values()]})
        reply = self.receive()
        if "raised" in reply:
            raise ValueError(reply["raised"])
        return [*args, *named.values()][reply["argument"]] if "argument" in reply else reply["value"]

    def send(self, message: dict[str, Any]) -> None:
        """To the judge."""
        self.replies.write(encode(message, self.keep))
        self.replies.flush()

    def receive(self) -> dict[str, Any]:
        """From the judge."""
        return receive(self.requests, self.call)

    def define(self, file: str, text: str, name: str, postponed: bool) -> None:
        """Run the text, and keep the function that it defines."""
        import linecache

        linecache.cache[file] = (len(text), None, [line + "\n" for line in text.split("\n")], file)
        module = sys.modules["student"] = ModuleType("student")
        module.__file__ = file
        try:
            flags = __future__.annotations.compiler_flag if postponed else 0
            exec(compile(text, file, "exec", flags, dont_inherit=True), vars(module))
            function = getattr(module, name)
            if not callable(function):
                raise TypeError(f"{name} is no function but a {type(function).__name__}")
            number = self.keep(function)
            self.send({"function": number, "empty": is_empty(function), "parameters": parameters(function)})
        except BaseException as error:
            self.send({"raised": words(error, file)})

    def serve(self, file: str) -> None:
        """Answer calls until the judge has no more."""
        while True:
            request = self.receive()
            args, before = request["value"], [one.copy() for one in arrays(request["value"])]
            try:
                answer: dict[str, Any] = {"value": [self.functions[request["call"]](*args)]}
            except BaseException as error:
                answer = {"raised": words(error, file), "stub": type(error) is NotImplementedError, "value": []}
            after = [*arrays(args), *[None] * len(before)][: len(before)]  # a list may have lost some
            same = [now is not None and now.tobytes() == old.tobytes() for now, old in zip(after, before, strict=True)]
            answer["value"] += [one for one, kept in zip(after, same, strict=True) if not kept]
            answer["changed"] = [i for i, kept in enumerate(same) if not kept]
            try:
                self.send(answer)
            except Exception as error:  # a number too long to be written, a list within itself
                self.send({"raised": words(error, file), "stub": False, "value": [], "changed": []})


def main() -> None:
    """Take standard input and output for messages, leave nothing in their place, and serve."""
    student = Student(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))
    order = json.loads(student.requests.readline())
    Libraries.paths = order["paths"]
    sys.meta_path.append(Libraries)
    import numpy  # noqa: F401 - before memory is bounded

    limit(order["memory"], order["seconds"])
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    student.send({"ready": True})
    student.define(order["file"], order["text"], order["name"], order["postponed"])
    with contextlib.suppress(EOFError):
        student.serve(order["file"])


if __name__ == "__main__":
    main()
