"""A checkout that was moved or copied: its store is pointed at the artifacts beside it.

MLflow keeps absolute paths, and its API sets them only when something is made. So they are changed
in its tables, of the one schema that is known here; another is left alone.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import mlflow
from mlflow.entities import ViewType

from plumbline.address import shown
from plumbline.errors import StorageError

# the revision of MLflow's schema in which these columns, and no others, hold absolute paths
SCHEMA = "dc11669786a5"
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def follow_move(folder: Path, uri: str, seconds: float) -> None:
    """Where the store in `folder` (mlflow/) names the artifacts of another checkout, name its own.

    Without this a copy would write into the original's folder.

    Args:
        uri: the store's, which MLflow has been told.
        seconds: how long to wait for another process that writes the database.

    Raises:
        StorageError: the tables have a schema that is not known here; nothing is changed.
    """
    here = (folder / "artifacts").as_uri()
    known = mlflow.search_experiments(view_type=ViewType.ALL)
    places = {str(one.artifact_location) for one in known}
    before = [p for p in places if p.startswith("file:") and p.endswith("/mlflow/artifacts")]
    before = sorted(set(before) - {here})
    if not before:
        return
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db", timeout=seconds)) as data:
        (schema,) = data.execute("SELECT version_num FROM alembic_version").fetchone()
        if schema != SCHEMA:
            raise StorageError(
                "the checkout was moved or copied, and its store names the artifacts of "
                f"{before[0]}; in this version of MLflow that cannot be corrected",
                file=shown(uri),
                wanted=f"MLflow's schema {SCHEMA}",
                got=schema,
                hint="move the folder mlflow/ away: `plumbline register` makes a new one from "
                "the files of this checkout",
            )
        for old in before:
            for table, column in PLACES:
                data.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (here, len(old) + 1, old, len(old) + 1, f"{old}/"),
                )
        data.commit()
