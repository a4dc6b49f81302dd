"""A version of a registered model by its address: models:/NAME@ALIAS or models:/NAME/VERSION."""

from __future__ import annotations

from plumbline.errors import ParameterError
from plumbline.store.address import REGISTERED
from plumbline.store.registry import CHAMPION, Version, names_of, version_at
from plumbline.store.tracking import Store


def version_named(
    store: Store, address: str, *, where: str | None, file: str | None = None
) -> Version:
    """The version that an address names.

    Args:
        where: the key or option that holds the address, of `file` where it is in one; None: it
            is the default.

    Raises:
        ParameterError: it is no address, or there is no such version; lists those that there are.
    """
    match = REGISTERED.fullmatch(address)
    if match is None:
        raise ParameterError(
            "is not the address of a registered model",
            file=file,
            where=where,
            wanted="models:/NAME@ALIAS or models:/NAME/VERSION",
            got=address,
        )
    name, alias, number = match.groups()
    version = version_at(store, name, alias=alias, number=number)
    if version is None:
        there = names_of(store, name)
        sets = (
            "; `plumbline promote VERSION --reason TEXT` or `plumbline rollback` sets the alias"
            if alias == CHAMPION
            else ""
        )
        raise ParameterError(
            "no such version in the registry",
            file=file,
            where=where,
            got=address,
            hint=f"there are {', '.join(f'models:/{name}{one}' for one in there[:10])}{sets}"
            if there
            else f"there is no registered model '{name}'; MLFLOW_TRACKING_URI names the registry",
        )
    return version
