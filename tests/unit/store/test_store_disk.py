"""Folder, database file and blobs: what survives, what is refused, what is cleaned up."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from store_reports import keep, new_report

from lastwords.errors import StoreError
from lastwords.store import BlobKind, NewDocument, Outcome, ReportState, Store, open_store
from lastwords.store.schema import METADATA

if TYPE_CHECKING:
    from pathlib import Path


def test_migrations_make_the_schema(store: Store) -> None:
    with store.db.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, METADATA) == []


def test_every_column_says_what_it_means_and_who_may_see_it() -> None:
    for table in METADATA.tables.values():
        for column in table.columns:
            where = f"{table.name}.{column.name}"
            assert column.info.get("class") in ("public", "protected"), where
            assert len(column.info.get("meaning", "")) > 8, where


def test_database_is_durable_by_its_settings(store: Store) -> None:
    with store.db.read() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_reader_is_not_held_up_by_the_writer(store: Store) -> None:
    with store.db.write() as connection:
        connection.exec_driver_sql("delete from job")
        assert store.queue_depth() == 0


def test_writers_of_many_threads_all_succeed(store: Store) -> None:
    def write() -> None:
        for _ in range(20):
            store.accept_reports([new_report(store)])

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.queue_depth() == 80


def test_second_owner_is_refused_and_a_reader_is_not(store: Store) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(store.data_dir, is_owner=True)
    assert caught.value.code == "store_in_use"
    reader = open_store(store.data_dir)
    assert reader.reports() == []
    reader.close()


def test_owner_gives_the_folder_free(tmp_path: Path) -> None:
    open_store(tmp_path, is_owner=True).close()
    open_store(tmp_path, is_owner=True).close()


@pytest.mark.parametrize("name", ["lastwords.sqlite3", "blobs"])
def test_unusable_folder_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"something else entirely" * 100)
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path)
    assert caught.value.code == "store_not_usable"
    assert str(tmp_path) in caught.value.message
    assert caught.value.hint


def test_newer_schema_is_refused_untouched(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    database = sqlite3.connect(tmp_path / "lastwords.sqlite3")
    database.execute("update alembic_version set version_num = 'from the future'")
    database.commit()
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path)
    assert caught.value.code == "store_newer_schema"
    version = database.execute("select version_num from alembic_version").fetchone()
    database.close()
    assert version == ("from the future",)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_blob_is_named_by_its_content_however_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]
) -> None:
    store = open_store(tmp_path_factory.mktemp("blobs"))
    content = b"".join(chunks)
    with store.blobs.writer() as writer:
        for chunk in chunks:
            writer.write(chunk)
        sha256, size = writer.keep()
    assert (sha256, size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert store.read_blob(sha256) == content
    assert list(store.blobs.incoming.iterdir()) == []
    store.close()


def test_same_content_is_stored_once(store: Store) -> None:
    first, second = keep(store, b"same"), keep(store, b"same")
    assert first == second
    assert len([path for path in store.blobs.root.rglob("*") if path.is_file()]) == 1


def test_abandoned_blob_leaves_nothing(store: Store) -> None:
    with store.blobs.writer() as writer:
        writer.write(b"half")
        writer.seal()
    assert list(store.blobs.incoming.iterdir()) == []
    assert list(store.blobs.root.iterdir()) == []


def test_damaged_blob_is_found(store: Store) -> None:
    sha256, _ = keep(store, b"right")
    store.blobs.path(sha256).write_bytes(b"wrong")
    with pytest.raises(StoreError) as caught:
        store.read_blob(sha256)
    assert caught.value.code == "blob_damaged"


@pytest.mark.parametrize("sha256", ["0" * 64, "../../etc/passwd", "", "A" * 64, "0" * 63])
def test_missing_blob_and_no_hash_are_told(store: Store, sha256: str) -> None:
    with pytest.raises(StoreError) as caught:
        store.read_blob(sha256)
    assert caught.value.code == "blob_missing"


def test_recovery_removes_unfinished_and_unreferenced_files_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path, is_owner=True)
    # A process that died leaves a growing file, a kept blob without, and one with a report.
    growing = store.blobs.writer()
    growing.write(b"growing")
    growing.seal()
    orphan = store.blobs.writer()
    orphan.write(b"kept, not yet referred to")
    lost, _ = orphan.keep()
    referred = store.blobs.writer()
    referred.write(b"MDMP")
    kept, _ = referred.keep()
    store.accept_reports([new_report(store, dump=b"MDMP")])
    assert len(list(store.blobs.incoming.iterdir())) == 3
    store.close()
    store = open_store(tmp_path, is_owner=True)
    assert list(store.blobs.incoming.iterdir()) == []
    assert not store.blobs.path(lost).exists()
    assert store.read_blob(kept) == b"MDMP"
    store.close()


def replaced_document(store: Store) -> str:
    """Process a report twice; returns the hash of the document that was replaced."""
    store.accept_reports([new_report(store)])
    for content in (b"with a secret", b"without"):
        job = store.claim_job("w", timedelta(minutes=1))
        assert job is not None
        document = NewDocument(kind=BlobKind.REPORT_JSON, name="report.json", content=content)
        store.end_job(job, Outcome(state=ReportState.PROCESSED, notes=(), documents=(document,)))
        store.reprocess(job.report_id)
    return hashlib.sha256(b"with a secret").hexdigest()


def test_replaced_document_is_removed_from_the_disk(store: Store) -> None:
    replaced = replaced_document(store)
    assert store.read_blob(replaced) == b"with a secret"
    assert store.remove_unreferenced() == 1
    assert not store.blobs.path(replaced).exists()
    assert store.remove_unreferenced() == 0
    report = store.reports()[0]
    assert store.read_blob(store.report_blobs(report.id)[0].sha256) == b"without"


def test_nothing_is_removed_while_content_is_added(store: Store) -> None:
    replaced = replaced_document(store)
    with store.blobs.adding():
        assert store.remove_unreferenced() == 0
        assert store.blobs.path(replaced).exists()
    assert store.remove_unreferenced() == 1


def test_attachment_of_a_repeated_delivery_is_not_left_over(store: Store) -> None:
    store.accept_reports([new_report(store, dump=b"one", identity="i")])
    store.accept_reports([new_report(store, dump=b"two", identity="i")])
    assert store.remove_unreferenced() == 1
    files = [path.name for path in store.blobs.root.rglob("*") if path.is_file()]
    assert files == [hashlib.sha256(b"one").hexdigest()]
