"""What may be in a name that somebody chose."""

import unicodedata

MAX_NAME = 255


def name_fault(name: object) -> str | None:
    """Return why something cannot be a name, or None.

    Names are shown to people and never reach a ruleset or a configuration file, so everything printable is allowed: quotes, braces and
    semicolons too.  Control characters (line ends among them), lone surrogates and invisible direction marks are not.
    """
    if not isinstance(name, str):
        return "must be a text"
    if not name.strip():
        return "must not be empty"
    if len(name) > MAX_NAME:
        return f"must not be longer than {MAX_NAME} characters"
    for character in name:
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            return f"must not contain the character U+{ord(character):04X}"
    return None
