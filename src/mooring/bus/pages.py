"""What may be longer than a message can be goes in pages: the digest of a host, and what it pulls.

NATS servers take messages of 1 MiB unless they are told otherwise.  A host may hold a hundred thousand NICs, and one NIC hundreds of
addresses, so a page ends after so many entries or, with subjects, after so many bytes.  The pages of a digest are not one snapshot.  That
does no harm to the host that reads them: what it holds leaves the list only after it has said so itself, and what comes meanwhile is
in the next one.  Only a new epoch would, so all pages must be of one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from mooring.bus.messages import dump_digest, dump_placements, load_digest, load_placements
from mooring.model.faults import Unavailable
from mooring.model.records import Page
from mooring.model.subjects import Digest, DigestEntry, HostRole, Placement, SubjectKey

ENTRIES = 4000
"""So many entries of a digest are about half a MiB."""

PLACEMENTS = 200
_BYTES = 500_000
_EPOCHS_TRIED = 3


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: these subjects, or all that is not confirmed, beginning after an entry."""

    keys: tuple[SubjectKey, ...] | None = None
    after: tuple[SubjectKey, HostRole] | None = None


_WISH = TypeAdapter(Wish)
_ANY = TypeAdapter(Any)


def dump_wish(wish: Wish) -> Any:
    """Write a wish as JSON values."""
    return _WISH.dump_python(wish, mode="json")


def load_wish(value: Any) -> Wish:
    """Read a wish; nothing is the wish for everything."""
    return Wish() if value is None else _WISH.validate_python(value)


def placements_page(value: Any, pull: Callable[[Sequence[SubjectKey] | None, Page], Sequence[Placement]]) -> Any:
    """Answer a wish with a page of placements, and whether there may be more."""
    wish = load_wish(value)
    found = dump_placements(pull(wish.keys, Page(wish.after, PLACEMENTS)))
    fit, size = 0, 0
    for placed in found:
        size += len(_ANY.dump_json(placed))
        if fit and size > _BYTES:
            break
        fit += 1
    return {"placements": found[:fit], "more": fit < len(found) or len(found) == PLACEMENTS}


def all_placements(keys: Sequence[SubjectKey] | None, call: Callable[[Any], Any]) -> Sequence[Placement]:
    """Ask for page after page of placements."""
    wish = Wish(None if keys is None else tuple(keys))
    found: list[Placement] = []
    while True:
        page = call(dump_wish(wish))
        found += load_placements(page["placements"])
        if not page["more"]:
            return found
        wish = Wish(wish.keys, (found[-1].key, found[-1].role))


def digest_page(value: Any, digest: Callable[[Page], Digest]) -> Any:
    """Answer with a page of a digest."""
    return dump_digest(digest(Page(load_wish(value).after, ENTRIES)))


def whole_digest(call: Callable[[Any], Any]) -> Digest:
    """Ask for page after page of a digest.

    Raises:
        Unavailable: new epochs begin faster than it can be read.
    """
    for _ in range(_EPOCHS_TRIED):
        page = load_digest(call(None))
        entries: list[DigestEntry] = list(page.entries)
        epoch = page.epoch
        while len(page.entries) == ENTRIES and page.epoch == epoch:
            page = load_digest(call(dump_wish(Wish(after=(entries[-1].key, entries[-1].role)))))
            entries += page.entries
        if page.epoch == epoch:
            return Digest(epoch, tuple(entries))
    raise Unavailable("The database is being put back.")
