"""A bare machine, for each Python that starts with this folder in PYTHONPATH: Python imports sitecustomize by itself.

Gone are the modules that Windows lacks, the libraries that not everybody has, what signal and os have on POSIX systems
alone, and the network, but for this machine's own addresses. A text file that is opened without its encoding is an
error, if Python was started with PYTHONWARNDEFAULTENCODING=1. `make lowest` runs the suite so.
"""

import os
import signal
import sys
import warnings
from importlib.machinery import BuiltinImporter, PathFinder

MISSING = {"fcntl", "grp", "pty", "pwd", "readline", "resource", "termios", "tty"}  # on Windows
MISSING |= {"IPython", "cupy", "ipykernel", "ipywidgets", "jupytext", "mpi4py", "nbclient", "nbformat", "torch"}
SIGNALS = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM"}  # that Windows has too
POSIX = {
    os: ["fork", "forkpty", "geteuid", "getpgid", "killpg", "mkfifo", "nice", "posix_spawn", "setsid", "wait4"],
    signal: ["alarm", "getitimer", "pause", "pthread_kill", "pthread_sigmask", "setitimer", "siginterrupt", "sigwait"],
}
HERE = ("127.", "::1", "localhost")


def hiding(find_spec):
    """A finder's find_spec that finds nothing of what is missing."""

    def find(_, name, *rest):
        return None if name.partition(".")[0] in MISSING else find_spec(name, *rest)

    return classmethod(find)


def refuse(event, arguments):
    """Raise an OSError at a connection to another machine, or at the question for its address."""
    match event, arguments:
        case (("socket.connect" | "socket.sendto"), (_, (str(host), *_))):
            pass
        case (("socket.getaddrinfo" | "socket.gethostbyname"), (str(host), *_)):
            pass
        case _:
            return
    if not host.startswith(HERE):
        raise OSError(f"there is no network here; asked for {host}")


def signal_number(name):
    """What subprocess needs to kill a process, as it can on Windows too."""
    if name == "SIGKILL" and sys._getframe(1).f_globals["__name__"] == "subprocess":
        return 9
    raise AttributeError(f"module 'signal' has no attribute {name!r}")


for finder in (BuiltinImporter, PathFinder):
    finder.find_spec = hiding(finder.find_spec)
for module in MISSING & set(sys.modules):
    del sys.modules[module]
for module, names in POSIX.items():
    for name in set(names) & set(dir(module)):
        delattr(module, name)
for name in dir(signal):
    if name.startswith("SIG") and name[3:].isalnum() and name not in SIGNALS:
        delattr(signal, name)
signal.__getattr__ = signal_number
sys.addaudithook(refuse)
warnings.filterwarnings("error", category=EncodingWarning)
warnings.filterwarnings("ignore", category=EncodingWarning, module="matplotlib|numpy")  # theirs
