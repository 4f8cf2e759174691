"""A bus that misbehaves: stands between NATS clients and their server, and loses, repeats and delays messages that are delivered.

    python relay.py PORT SERVER SERVERPORT SEED

Listens on PORT, and gives what clients send to the server as it is.  Of what the server sends, it takes single messages out: a delayed one
is overtaken by those behind it, on the same connection.  Calls and their answers are lost less often than casts, because a caller waits ten
seconds for an answer; a cast that is lost is missed by nobody, which is what is to be shown.

Ends with its input; a line before that makes it honest.  Then it prints what it did, as JSON.
"""

import asyncio
import json
import random
import socket
import sys
from contextlib import suppress

MARK = 0x6D
"""What our own connections to the server carry, so that they are not led to ourselves again."""

_LOSE_CAST, _LOSE_CALL, _REPEAT, _DELAY = 0.3, 0.02, 0.2, 0.3
_LONGEST_DELAY = 0.3
_MESSAGES = (b"MSG", b"HMSG")


class Relay:
    """All connections, what may happen to a message, and what has."""

    def __init__(self, server: tuple[str, int], seed: int) -> None:
        self.server = server
        self.chance = random.Random(seed)
        self.honest = False
        self.did = dict.fromkeys(("connections", "messages", "lost", "repeated", "delayed", "overtaken"), 0)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channel = socket.socket()
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        channel.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(channel, self.server)
        except OSError:
            # The server is away: the client is told so by the connection's end.
            channel.close()
            writer.close()
            return
        from_server, to_server = await asyncio.open_connection(sock=channel)
        self.did["connections"] += 1
        inward = asyncio.create_task(self._deliver(from_server, writer))
        outward = asyncio.create_task(_copy(reader, to_server))
        await asyncio.wait({inward, outward}, return_when=asyncio.FIRST_COMPLETED)
        for task in (inward, outward):
            task.cancel()
        for end in (writer, to_server):
            end.close()

    async def _deliver(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        written = 0

        def late(frame: bytes, before: int) -> None:
            if not target.is_closing():
                self.did["overtaken"] += written > before
                target.write(frame)

        with suppress(OSError, asyncio.IncompleteReadError):
            while line := await source.readline():
                words = line.split()
                if not words or words[0].upper() not in _MESSAGES:
                    target.write(line)
                    continue
                frame = line + await source.readexactly(int(words[-1]) + 2)
                copies, delay = self._fate(words)
                for _ in range(copies):
                    if delay:
                        asyncio.get_running_loop().call_later(delay, late, frame, written)
                    else:
                        target.write(frame)
                        written += 1
                await target.drain()

    def _fate(self, words: list[bytes]) -> tuple[int, float]:
        """Return how often a message is delivered, and how much later."""
        self.did["messages"] += 1
        if self.honest:
            return 1, 0.0
        # MSG subject sid [reply] size; HMSG has the headers' size, too.
        asks = len(words) > (4 if words[0].upper() == b"MSG" else 5)
        call = asks or words[1].startswith(b"_INBOX.")
        if self.chance.random() < (_LOSE_CALL if call else _LOSE_CAST):
            self.did["lost"] += 1
            return 0, 0.0
        copies = 1 + (self.chance.random() < _REPEAT)
        delay = self.chance.uniform(0, _LONGEST_DELAY) if self.chance.random() < _DELAY else 0.0
        self.did["repeated"] += copies > 1
        self.did["delayed"] += delay > 0
        return copies, delay


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await source.read(1 << 16):
            target.write(piece)
            await target.drain()


async def main(port: int, server: tuple[str, int], seed: int) -> None:
    """Relay until the input ends."""
    relay = Relay(server, seed)
    listening = await asyncio.start_server(relay.accept, "0.0.0.0", port)  # noqa: S104 - in a namespace of its own
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        relay.honest = True
    listening.close()
    print(json.dumps(relay.did))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), (sys.argv[2], int(sys.argv[3])), int(sys.argv[4])))
