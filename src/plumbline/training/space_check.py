"""Dimensions of the search of which some value makes no network, refused before the first trial."""

from __future__ import annotations

from collections.abc import Iterator

from plumbline.config import Config
from plumbline.config.model import Dimension
from plumbline.errors import ParameterError
from plumbline.models import build_on_meta
from plumbline.training.build import learn
from plumbline.training.cross_validation import Fold
from plumbline.training.search_result import Value, Values


def refuse_unfit_space(config: Config, fold: Fold) -> None:
    """Build the network of each value that a dimension is tried on, the others at their centers.

    Raises:
        ParameterError: names the dimension and the value.
    """
    space = config.tune.space
    center: Values = {key: dimension.center for key, dimension in space.items()}
    for key, dimension in space.items():
        if not key.startswith("model."):
            continue
        searched = {name: values[0] for name, values in dimension.when.items()}
        for value in _tried(dimension):
            model = config.replace({**center, **searched, key: value}).model
            try:
                build_on_meta(model, fold.spec, learn(model, fold.spec, fold.train, fold.start))
            except ParameterError as error:
                raise ParameterError(
                    error.what,
                    file="params.yaml",
                    where=f"tune.space: {key}",
                    wanted=error.wanted,
                    got=value if error.where == key else f"{value}, and {error.where} {error.got}",
                    hint="leave such values out by step, by choices or by other ends",
                ) from None


def _tried(dimension: Dimension) -> Iterator[Value]:
    """Its choices, or both ends; of whole numbers the second, too, which tells of their steps."""
    yield from dimension.ends
    if dimension.type == "int":
        assert dimension.low is not None and dimension.high is not None
        second = round(dimension.low) + round(dimension.step or 1)
        if second <= dimension.high:
            yield second
