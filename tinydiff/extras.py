"""Libraries that some of the work needs and the core does without: where one is missing, how to install it."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str) -> Iterator[None]:
    """A context for imports: a ModuleNotFoundError of one line says which extra of tinydiff brings what is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "a library").partition(".")[0]
        message = f'this needs {missing}, which is not installed: pip install "tinydiff[{name}]"'
        raise ModuleNotFoundError(message, name=error.name) from None
