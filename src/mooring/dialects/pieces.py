"""Long lists, made and written a piece at a time, so that nobody else waits for a whole one.

Whoever asks for 10,000 things gets them in one answer.  They are read, put into words and written in pieces on the request's own thread; while
one piece is written no other thread of the process runs, and in between all do.  Only bytes are kept, until the client has taken them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

AT_ONCE = 500
"""So many things are written at a time."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """An object with a long list: `{name: [...], **rest()}`; `rest` is asked for once the list is made."""

    name: str
    items: Iterable[Sequence[object]]
    rest: Callable[[], Mapping[str, object]] = dict[str, object]

    @classmethod
    def of(cls, name: str, items: Sequence[object], rest: Mapping[str, object]) -> "Pieces":
        """Cut a list that is there already."""
        return cls(name, (items[first : first + AT_ONCE] for first in range(0, len(items), AT_ONCE)), lambda: rest)

    def whole(self) -> dict[str, object]:
        """Return all of it at once."""
        items = [item for piece in self.items for item in piece]
        return {self.name: items, **self.rest()}

    def written(self) -> list[bytes]:
        """Return it as JSON: what orjson writes of `whole`, in parts."""
        parts = [b'{"%s":[' % self.name.encode()]
        for piece in self.items:
            if piece:
                parts += [b"," if len(parts) > 1 else b"", orjson.dumps(list(piece))[1:-1]]
        rest = orjson.dumps(dict(self.rest()))[1:]
        return [*parts, b"]", b"," if len(rest) > 1 else b"", rest]


class InParts(Response):
    """A response whose body is sent part by part; in between, the event loop serves others."""

    def __init__(self, parts: Sequence[bytes], status: int, headers: Mapping[str, str], media_type: str) -> None:
        """Keep the parts."""
        length = {"Content-Length": str(sum(map(len, parts)))}
        super().__init__(None, status, {**headers, **length}, media_type)
        self.parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the parts, each when the client has room for it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for part in self.parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
