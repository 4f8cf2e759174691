"""Where log lines go: structured, one event a line, always with a time and a level."""

import logging
from typing import TextIO

import structlog


def configure(stream: TextIO, *, json: bool = False, level: int = logging.INFO) -> None:
    """Send every log line of this process to `stream`: as JSON for programs, or in columns for people."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    # Libraries that log the standard way: only what is worth a person's time.
    logging.basicConfig(stream=stream, level=logging.WARNING, force=True)
