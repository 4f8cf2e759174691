"""How mistakes are planted: the real code, or the simulated database, is another for as long as a context lasts."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from unittest.mock import patch

Mutant = Callable[[], AbstractContextManager[None]]


@contextmanager
def patched(*changes: tuple[object, str, object]) -> Iterator[None]:
    """Put other things in the places of some: where, under which name, and what."""
    with ExitStack() as stack:
        for where, name, what in changes:
            stack.enter_context(patch.object(where, name, what))
        yield
