"""Calls and casts between processes.  A bus carries wake-ups and calls, never the only copy of anything.

`call` waits for an answer with a deadline; `cast` does not wait and may be lost, repeated or reordered.  Subscribers of one topic that
name the same group share its messages; without a group each gets all of them.

Topics are words with points between them, `controller.HOST.pull`.  A topic that is served may have `*` for one whole word; the first `*` is
then who sends, and the bus proves it: where buses have credentials, only HOST's own let it send on such a topic, and only HOST is answered.
Nothing in a message says who sent it.
"""

from collections.abc import Callable
from typing import Protocol

Handler = Callable[[str, bytes], bytes]
"""Takes a message with the topic that it was sent on, and returns the answer, which a cast has no use for."""


class NoResponder(Exception):
    """Nobody serves the topic."""


class DeadlineExceeded(Exception):
    """No answer came in time, or none can come any longer; whether the call was carried out is unknown."""


class Subscription(Protocol):
    """A handler that is being served."""

    def close(self) -> None:
        """Stop serving; a message under way is finished."""
        ...


class Calls(Protocol):
    """The part of a bus that asks."""

    def call(self, topic: str, message: bytes, timeout: float) -> bytes:
        """Return one handler's answer.

        Raises:
            NoResponder: nobody serves the topic.
            DeadlineExceeded: no answer within `timeout` seconds, or before the connection was lost.
        """
        ...


class Bus(Calls, Protocol):
    """The way between api, controllers and agents."""

    def cast(self, topic: str, message: bytes) -> None:
        """Send to the topic's subscribers, if there are any."""
        ...

    def serve(self, topic: str, handler: Handler, group: str | None = None) -> Subscription:
        """Hand messages of a topic to a handler, from threads of the bus.  A handler's exception answers nothing."""
        ...

    def close(self) -> None:
        """Stop all subscriptions."""
        ...
