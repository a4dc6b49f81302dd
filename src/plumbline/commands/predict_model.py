"""Which model predicts: a registered version, or a folder that holds a version's files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from plumbline.config import Paths, load_config
from plumbline.errors import DataError, ParameterError
from plumbline.inference.rows import RowPredictor
from plumbline.store.address import SCHEME

WANTED = "models:/NAME@ALIAS, models:/NAME/VERSION, or a folder with a version's files"


@dataclass(frozen=True, kw_only=True)
class NamedPredictor:
    """A model and its name: `version` stands in the table of predictions."""

    predictor: RowPredictor
    version: str


def named_address(address: str | None, paths: Paths, *, may_be_away: bool = False) -> str:
    """An address, or that of the champion of the checkout's data.

    Args:
        may_be_away: whether a registry is not needed.

    Raises:
        ParameterError: nothing says which data; or it is a registered version's, and there is no
            registry.
    """
    if address is None:
        if not paths.params.exists():
            raise ParameterError(
                "no model is named, and there is no params.yaml here that names one",
                where="--model",
                wanted=WANTED,
                hint="run it in the checkout, or pass --model",
            )
        address = f"{SCHEME}/{load_config(paths.params).data.name}@champion"
    there = os.environ.get("MLFLOW_TRACKING_URI") or (paths.home / "mlflow").is_dir()
    if address.startswith(SCHEME) and not (there or may_be_away):
        raise ParameterError(
            "there is no registry here",
            where="--model",
            got=address,
            hint="run `plumbline repro` first, set MLFLOW_TRACKING_URI, or pass a folder",
        )
    return address


def load_predictor(address: str | None, paths: Paths) -> NamedPredictor:
    """The model at an address; None: the champion of the checkout's data.

    Raises:
        ParameterError: the address names nothing.
        DataError: the version's files are gone or broken.
        StorageError: the registry does not answer.
    """
    where = None if address is None else "--model"
    folder, version = version_folder(named_address(address, paths), paths, where=where)
    predictor = RowPredictor.load(folder)
    return NamedPredictor(predictor=predictor, version=version or f"sha256:{predictor.sha256[:16]}")


def version_folder(
    address: str, paths: Paths, *, where: str | None = "--model"
) -> tuple[Path, str | None]:
    """The files of the model at an address, and NAME/VERSION; None where it is a folder.

    Args:
        where: the option that holds the address; None: it is the default.

    Raises:
        ParameterError: the address names nothing.
        DataError: the version's files are gone.
        StorageError: the registry does not answer.
    """
    if not address.startswith(SCHEME):
        folder = Path(address)
        if not folder.is_dir():
            raise ParameterError("no such folder", where="--model", wanted=WANTED, got=address)
        return folder, None
    return _registered(address, paths, where)


def _registered(address: str, paths: Paths, where: str | None) -> tuple[Path, str]:
    # MLflow takes seconds to import
    from plumbline.store.named import version_named
    from plumbline.store.registry import files_of
    from plumbline.store.tracking import existing_store

    store = existing_store(paths.home)
    version = version_named(store, address, where=where)
    name = f"{version.model}/{version.number}"
    folder = files_of(store, version)
    if folder is None:
        raise DataError(
            "MLflow has the files of this version no more",
            where=name,
            hint="name another version with --model, or run `plumbline register`",
        )
    return folder, name
