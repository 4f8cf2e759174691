"""What can be a tag."""

from mooring.model.marks import LONGEST_TAG


def tag_fault(tag: str) -> str | None:
    """Say why a text cannot be a tag; None if it can."""
    if not 1 <= len(tag) <= LONGEST_TAG:
        return f"a tag must have 1 to {LONGEST_TAG} characters"
    if not tag.isprintable():
        return "a tag must have no characters that cannot be shown"
    # Filters name several with commas between.
    return "a tag must have no comma" if "," in tag else None
