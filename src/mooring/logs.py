"""Where log lines go: structured, one event a line, always with a time and a level."""

import logging
from typing import TextIO

import structlog


class _Lines:
    """Writes lines to a stream, and goes on without a word when it can't: a log that is full or gone must not end an answer."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return

    log = debug = info = warn = warning = fatal = failure = err = error = critical = exception = msg


def configure(stream: TextIO, *, process: str = "", json: bool = False, level: int = logging.INFO) -> None:
    """Send every log line of this process to `stream`: as JSON for programs, or in columns for people.

    `process` says in every line which process it is of: lines of several are read together.
    """

    def named(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if process:
            event.setdefault("process", process)
        return event

    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            named,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=False,
    )
    # Libraries that log the standard way: only what is worth a person's time.
    logging.basicConfig(stream=stream, level=logging.WARNING, force=True)
