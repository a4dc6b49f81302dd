"""Where the network that fits start from comes from: a folder, or a version in the registry."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from plumbline import artifacts
from plumbline.artifacts import StartSource
from plumbline.config import Config, Paths
from plumbline.errors import DataError, ParameterError
from plumbline.files import read_json
from plumbline.kinds import Part
from plumbline.store.address import SCHEME
from plumbline.store.bundle_files import METADATA, WEIGHTS, read_metadata, read_weights
from plumbline.store.lineage import UNKNOWN, VAL_ROWS, data_hash, rows_hash, same_test_rows
from plumbline.store.named import version_named
from plumbline.store.registry import Version, fetch_bundle
from plumbline.store.tracking import open_store

KEY = "model.start_from"
FILES = (WEIGHTS, METADATA, artifacts.PREPROCESSOR)
LEAK = (
    "it was fitted on the same data with another split: some of the test rows here may be among "
    "its training rows, so that scores on test rows may be too good"
)
LEAK_VALIDATION = (
    "it was fitted on the same data, and some of the validation rows here are among its training "
    "rows: what validation rows choose, such as the epoch, is chosen by losses that are too low; "
    "the test rows are the same, and not among them"
)


def fetch(config: Config, paths: Paths, folder: Path) -> StartSource:
    """Copy the network that `model.start_from` names into a folder, and say what it is.

    Raises:
        ParameterError: there is no such folder, model or version.
        DataError: its files are missing, broken or hold what cannot be taken.
    """
    address = config.model.start_from
    if address is None:
        return StartSource(address=None)
    if not address.startswith(SCHEME):
        return _copied(_folder(address, paths), folder, StartSource(address=address), address)
    store = open_store(paths.home)
    version = version_named(store, address, file="params.yaml", where=KEY)
    with tempfile.TemporaryDirectory() as temporary:
        bundle = fetch_bundle(store, version, Path(temporary))
        if bundle is None:
            raise DataError(
                "MLflow has the files of this version no more",
                file="params.yaml",
                where=KEY,
                got=f"{version.model} version {version.number}",
                hint="name another version, or run `plumbline register` where it was trained",
            )
        record = StartSource(
            address=address,
            source=f"{version.model} version {version.number}",
            version=version.number,
            run_id=version.run_id,
            leak=_leak(version, paths),
        )
        return _copied(bundle, folder, record, str(record.source))


def moved(config: Config, paths: Paths) -> str | None:
    """What `model.start_from` names now, in words, where that is not what artifacts/start holds.

    Raises:
        UserError: it names nothing any more.
    """
    address = config.model.start_from
    try:
        held = StartSource(**read_json(paths.root / StartSource.FILE))
    except (OSError, ValueError, TypeError):
        return None
    if address is None or held.address != address:
        return None  # the stages see that themselves
    if address.startswith(SCHEME):
        store = open_store(paths.home)
        version = version_named(store, address, file="params.yaml", where=KEY)
        same = (version.number, version.run_id) == (held.version, held.run_id)
        return None if same else f"{version.model} version {version.number}"
    metadata = read_metadata(_folder(address, paths), "")
    return None if metadata["sha256"][WEIGHTS] == held.sha256 else "a model with other weights"


def _copied(source: Path, folder: Path, record: StartSource, name: str) -> StartSource:
    """Copy the files of a fitted model, checked."""
    hint = f"{KEY} in params.yaml takes a folder as `train` writes it: {', '.join(FILES)}"
    metadata = read_metadata(source, hint)
    read_weights(source / WEIGHTS, hint)
    target = folder / artifacts.START_BUNDLE
    target.mkdir()
    for file in FILES:
        shutil.copyfile(source / file, target / file)
    values: dict[str, Any] = {**artifacts.to_json(record), "source": name}
    return StartSource(**{**values, "sha256": metadata["sha256"][WEIGHTS]})


def _folder(address: str, paths: Paths) -> Path:
    folder = paths.root / address
    if not folder.is_dir():
        raise ParameterError(
            "no such folder",
            file="params.yaml",
            where=KEY,
            wanted="a folder with a fitted model, or models:/NAME@ALIAS",
            got=address,
        )
    return folder


def _leak(version: Version, paths: Paths) -> str | None:
    """Why the network may have been fitted on rows that are test or validation rows here."""
    data, index = data_hash(paths.root), paths.split / artifacts.SPLIT_INDEX
    if data == UNKNOWN or version.tags.get("plumbline.data") != data:
        return None
    if not same_test_rows(version.tags, paths.root, index):
        return LEAK
    own = rows_hash(index, Part.VAL)
    return None if version.tags.get(VAL_ROWS, own) == own else LEAK_VALIDATION
