"""The table of tags."""

from sqlalchemy import Named, PrimaryKeyConstraint, Table, TypedColumns

from mooring.model.marks import Tagged
from mooring.store.schema.columns import metadata, one_of, some_text


class TagColumns(TypedColumns):
    """What things are tagged with.

    No foreign key: `object` is in one of many tables, and a network stays the same one with its subnet and without.
    Who deletes a row there forgets its tags, see store/marks.py.
    """

    kind: Named[str] = some_text()
    object: Named[str] = some_text()
    tag: Named[str] = some_text()


tags = Table(
    "tags",
    metadata,
    TagColumns,
    PrimaryKeyConstraint("kind", "object", "tag"),
    one_of("kind", Tagged),
    sqlite_with_rowid=False,
)
