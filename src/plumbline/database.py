"""One process at a time where the tables of a database may have to be made.

MLflow and Optuna make them, and bring them up to date, without a lock: of several processes that
begin at a new database all but one fail, and half of a migration may stay.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy
from sqlalchemy.pool import NullPool

from plumbline.address import shown
from plumbline.errors import StorageError

SECONDS = 60  # that are waited for whoever makes the tables
LOCK = 0x706C756D62  # by which PostgreSQL knows the lock, in each database


@contextlib.contextmanager
def alone(address: str) -> Iterator[None]:
    """Hold the lock of a database while the block runs: a file beside one of SQLite, an advisory
    lock of PostgreSQL. Others have none here; that they can be reached is all that is known then.

    Raises:
        ImportError, sqlalchemy.exc.SQLAlchemyError: there is no such database, or none answers.
        StorageError: another process holds the lock for too long.
    """
    url = sqlalchemy.make_url(address)
    if url.get_backend_name() == "sqlite":
        with _file_lock(Path(url.database or ""), address):
            yield
        return
    engine = sqlalchemy.create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        if url.get_backend_name() == "postgresql":
            _advisory_lock(connection, address)
        yield


@contextlib.contextmanager
def _file_lock(database: Path, address: str) -> Iterator[None]:
    """Not the database itself, whose locks SQLite would lose."""
    try:
        file = database.with_name(f"{database.name}.lock").open("a")
    except (OSError, ValueError):  # nor can tables be made there, or it is in memory
        yield
        return
    with file:
        until = time.monotonic() + SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise _too_long(address) from None
                time.sleep(0.02)
        yield


def _advisory_lock(connection: sqlalchemy.Connection, address: str) -> None:
    """Until the connection's transaction ends."""
    connection.execute(sqlalchemy.text(f"SET LOCAL lock_timeout = '{SECONDS}s'"))
    try:
        connection.execute(sqlalchemy.text(f"SELECT pg_advisory_xact_lock({LOCK})"))
    except sqlalchemy.exc.OperationalError as error:
        if getattr(error.orig, "pgcode", "") != "55P03":  # lock_not_available
            raise
        raise _too_long(address) from None


def _too_long(address: str) -> StorageError:
    return StorageError(
        f"another process has been making the tables of this database for {SECONDS} seconds",
        file=shown(address),
        hint="wait until it has ended, or end it, then run again",
    )
