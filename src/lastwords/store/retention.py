"""Removing what nothing refers to any more.

A blob loses its last reference when processing replaces it (a scrubbed `report.json`). Its file
may be removed only while nobody is between `BlobWriter.keep` and the transaction that refers to the
blob, since the content could be the same: `Blobs.adding` marks them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, exists, select

from lastwords.store.schema import blob, report_blob

if TYPE_CHECKING:
    from lastwords.store.blobs import Blobs
    from lastwords.store.db import Database

__all__ = ["remove_unreferenced"]

_BATCH = 100


def remove_unreferenced(db: Database, blobs: Blobs) -> int:
    """Remove at most 100 blobs without a reference; returns how many.

    Removes nothing while content is being added; the next call will.
    """
    unreferenced = select(blob.c.sha256).where(
        ~exists().where(report_blob.c.sha256 == blob.c.sha256)
    )
    with db.read() as connection:
        if connection.execute(unreferenced.limit(1)).first() is None:
            return 0
    with blobs.no_additions() as is_quiet:
        if not is_quiet:
            return 0
        with db.write() as connection:
            found = list(connection.scalars(unreferenced.limit(_BATCH)))
            for sha256 in found:
                blobs.path(sha256).unlink(missing_ok=True)  # first: a row without a file is found
            connection.execute(delete(blob).where(blob.c.sha256.in_(found)))
    return len(found)
