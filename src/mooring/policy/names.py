"""What may be in a name that somebody chose."""

import unicodedata

MAX_NAME = 255


def name_fault(name: object) -> str | None:
    """Return why something cannot be a name, or None.

    Names are shown to people and never reach a ruleset or a configuration file, so everything printable is allowed: quotes, braces and
    semicolons too.  Control characters (line ends among them), lone surrogates and invisible direction marks are not.
    """
    if isinstance(name, str) and not name.strip():
        return "must not be empty"
    return text_fault(name)


def text_fault(text: object) -> str | None:
    """Return why something cannot be a description, which may be empty, or None."""
    if not isinstance(text, str):
        return "must be a text"
    if len(text) > MAX_NAME:
        return f"must not be longer than {MAX_NAME} characters"
    for character in text:
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            return f"must not contain the character U+{ord(character):04X}"
    return None
