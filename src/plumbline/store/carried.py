"""The part of plumbline that a version needs in order to answer, as a package of its own.

A version in the registry carries the loader that MLflow calls and every module that it imports. The
package is named after a hash of its content: it loads where plumbline is not installed, and beside
an installed plumbline, or another version's package, of another content.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import packages_distributions, version
from pathlib import Path

import plumbline

OWN = "plumbline"
SOURCES = Path(plumbline.__file__).parent.parent
IMPORTED = re.compile(rf"^(\s*(?:from|import) ){OWN}(?=[\s.])", re.MULTILINE)
UNSEEN = ("pyarrow",)  # what a library imports by itself: between pandas and polars
FITTING = ("scipy",)  # what a fit alone imports, inside its functions


@dataclass(frozen=True, kw_only=True)
class Carried:
    """A package that was written.

    Attributes:
        folder: the package, named after its content.
        module: the module in it that was asked for.
        requirements: `name==version` of each distribution that it imports, as installed here.
    """

    folder: Path
    module: str
    requirements: tuple[str, ...]


def write_package(module: str, folder: Path) -> Carried:
    """Write a module of plumbline, and all of plumbline that it imports, as a package.

    Args:
        module: `plumbline.…`, which uses only absolute imports, as do those that it imports.
        folder: to write the package into.
    """
    sources, imported = _closure(module)
    digest = sha256(repr(sorted(sources.items())).encode()).hexdigest()[:12]
    name = f"{OWN}_{digest}"
    for own, text in sources.items():
        path = folder / name / _path(own).relative_to(SOURCES / OWN)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(IMPORTED.sub(rf"\g<1>{name}", text), encoding="utf-8")
    return Carried(
        folder=folder / name,
        module=name + module.removeprefix(OWN),
        requirements=_requirements({*imported, *UNSEEN} - {*FITTING}),
    )


def _closure(module: str) -> tuple[dict[str, str], set[str]]:
    """Module -> source of all of plumbline that a module imports, and which other packages."""
    sources: dict[str, str] = {}
    others: set[str] = set()
    left = [module]
    while left:
        name = left.pop()
        if name in sources or not _path(name).is_file():  # a name in a module is no module
            continue
        sources[name] = text = _path(name).read_text(encoding="utf-8")
        imports = [*_imports(ast.parse(text)), name.rpartition(".")[0] or name]
        left += [one for one in imports if one.partition(".")[0] == OWN]
        others |= {one.partition(".")[0] for one in imports}
    return sources, others - {OWN} - sys.stdlib_module_names


def _imports(tree: ast.Module) -> Iterator[str]:
    """Everything that may be a module among what is imported, anywhere in the source."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)


def _path(module: str) -> Path:
    path = SOURCES.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _requirements(packages: set[str]) -> tuple[str, ...]:
    """The distributions of some packages, pinned to what is installed."""
    known = packages_distributions()
    # several may have files in one package: `mlflow` has those of `mlflow-skinny` too
    names = {name if name in known[name] else known[name][0] for name in packages}
    return tuple(sorted(f"{name.lower()}=={version(name)}" for name in names))


__all__ = ["Carried", "write_package"]
