"""Long lists: written in parts, all of them one answer."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import orjson
import pytest

from mooring.dialects.pieces import AT_ONCE, InParts, Pieces


@pytest.mark.parametrize("rest", [{}, {"ships_links": [{"rel": "next"}], "more": None}])
@pytest.mark.parametrize("sizes", [[], [0], [1], [3, 0, 2], [0, 4], [AT_ONCE, AT_ONCE, 1]])
def test_parts_are_the_whole(sizes: list[int], rest: dict[str, object]) -> None:
    ships = [[{"id": number, "name": f"\"{number}'ä"} for number in range(size)] for size in sizes]
    pieces = Pieces("ships", ships, lambda: rest)
    assert b"".join(pieces.written()) == orjson.dumps(pieces.whole())
    assert pieces.whole() == {"ships": [ship for piece in ships for ship in piece], **rest}


def test_a_list_is_cut_into_bounded_pieces() -> None:
    numbers = list(range(2 * AT_ONCE + 7))
    parts = Pieces.of("numbers", numbers, {"more": 1}).written()
    assert orjson.loads(b"".join(parts)) == {"numbers": numbers, "more": 1}
    assert max(part.count(b",") for part in parts) < AT_ONCE


def test_others_are_served_between_parts() -> None:
    told: list[str] = []

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("nothing more is to be received")

    async def send(message: MutableMapping[str, Any]) -> None:
        told.append(message.get("body", b"start").decode())
        await asyncio.sleep(0)

    async def other() -> None:
        told.append("another answer")

    async def both() -> None:
        response = InParts([b"a", b"b", b"c"], 200, {}, "application/json")
        await asyncio.gather(response({"type": "http"}, receive, send), other())
        assert response.headers["content-length"] == "3"

    asyncio.run(both())
    assert [text for text in told if text != "another answer"] == ["start", "a", "b", "c", ""]
    assert told.index("another answer") < told.index("b")
