"""A made version, as the registry keeps one, of a table with a column of every type."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image
from tests.made import small_model

from plumbline.config.data import NormalizeConfig
from plumbline.export.onnx_graph import contract, to_onnx
from plumbline.files import write_json
from plumbline.inference.column_ranges import ColumnRange, ColumnRanges
from plumbline.inference.decision import Decision
from plumbline.inference.out_of_distribution import OutOfDistribution
from plumbline.inference.rows import RowPredictor
from plumbline.inference.torch_predictor import TorchPredictor
from plumbline.kinds import ColumnType, Role, Task
from plumbline.models import build_model
from plumbline.models.target import TargetTransform
from plumbline.preprocessing.transform import TableTransformer
from plumbline.tables import CellFormat, Column, Schema

ROWS = 60
LABELS = {Task.BINARY: ("no", "yes"), Task.MULTICLASS: ("a", "b", "c"), Task.REGRESSION: ()}
CONFORMAL: dict[Task, dict[str, Any]] = {
    Task.BINARY: {"method": "lac", "minimum_probability": 0.35},
    Task.MULTICLASS: {"method": "lac", "minimum_probability": 0.3},
    Task.REGRESSION: {"method": "absolute", "half_width": 2.5},
}


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (9, 8, 3)).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def schema_of(task: Task) -> Schema:
    comma = CellFormat(decimal=",", thousands=".", unit="€", missing=("", "-"))
    target = ColumnType.CATEGORY if task.has_classes else ColumnType.NUMBER
    return Schema(
        columns=(
            Column(name="id", type=ColumnType.CATEGORY, role=Role.ID),
            Column(name="price", type=ColumnType.NUMBER, format=comma),
            Column(name="count", type=ColumnType.INTEGER),
            Column(name="member", type=ColumnType.BOOLEAN),
            Column(name="day", type=ColumnType.DATE, format=CellFormat(date="%d/%m/%Y")),
            Column(name="maker", type=ColumnType.CATEGORY),
            Column(name="note", type=ColumnType.TEXT),
            Column(name="photo", type=ColumnType.IMAGE),
            Column(name="y", type=target, role=Role.TARGET, labels=LABELS[task]),
        ),
        task=task,
        classes=LABELS[task],
    )


def typed_rows(task: Task) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    words = [" ".join(rng.permutation(["soft", "red", "shoes", "rain"])) for _ in range(ROWS)]
    labels = [LABELS[task][i % len(LABELS[task])] for i in range(ROWS)] if task.has_classes else ()
    return pl.DataFrame(
        {
            "id": [f"k{i}" for i in range(ROWS)],
            "price": [None, *rng.normal(900, 400, ROWS - 1).round(2).tolist()],
            "count": rng.integers(0, 9, ROWS),
            "member": [None if i % 7 == 0 else bool(i % 2) for i in range(ROWS)],
            "day": [dt.datetime(2024, 1, 1) + dt.timedelta(days=9 * i) for i in range(ROWS)],
            "maker": [None if i % 9 == 0 else "ABC"[i % 3] for i in range(ROWS)],
            "note": words,
            "photo": [None if i % 11 == 0 else png(i) for i in range(ROWS)],
            "y": labels if task.has_classes else rng.normal(size=ROWS),
        },
        schema_overrides={"count": pl.Int64, "day": pl.Datetime("us")},
    )


ALL_BUT_IMAGES = ("price", "count", "member", "day", "maker", "note")


class Version:
    """A version's files, and the torch model that they are of."""

    def __init__(
        self,
        folder: Path,
        task: Task,
        only: str | Collection[str] | None = None,
        scale: float = 1.0,
        table: tuple[Schema, pl.DataFrame] | None = None,
        ranges: Collection[ColumnRange] = (),
    ) -> None:
        """Args:
        only: the features that there are; None: all.
        scale: a factor on all weights.
        table: in place of the usual rows.
        ranges: of columns, in a file of out-of-distribution scores.
        """
        self.folder = folder
        self.schema, self.rows = table or (schema_of(task), typed_rows(task))
        if only is not None:
            names = [only] if isinstance(only, str) else only
            features = [c.name for c in self.schema.features if c.name not in names]
            kept = tuple(c for c in self.schema.columns if c.name not in features)
            self.schema, self.rows = replace(self.schema, columns=kept), self.rows.drop(features)
        rows = np.arange(len(self.rows))
        self.transformer = TableTransformer(self.schema, NormalizeConfig(linear_channel="curved"))
        self.examples = self.transformer.fit_transform(self.rows.lazy(), rows, seed=0)
        spec = self.transformer.spec_
        model = build_model(small_model(), spec, seed=0)
        for weights in model.parameters():
            weights.data.mul_(scale)
        target = None if task.has_classes else TargetTransform.fit(self.examples.y, "standard")
        self.decision = Decision(temperature=1.3, threshold=0.47, conformal=CONFORMAL[task])
        if task is not Task.BINARY:
            self.decision = replace(self.decision, threshold=None)
        self.torch = TorchPredictor(model, task, target=target, decision=self.decision)
        graph = to_onnx(model, spec, target=target, temperature=1.3, opset=18, metadata={})
        extra = folder / "extra_files"
        extra.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(graph)
        digest = hashlib.sha256(graph).hexdigest()
        described = contract(spec, temperature=1.3, opset=18, sha256=digest, sources={})
        write_json(extra / "contract.json", described)
        write_json(extra / "preprocessor.json", self.transformer.to_json())
        self.decision.write(extra)
        if ranges:
            kinds = {c.name: c.type for c in self.schema.columns}
            OutOfDistribution(
                method="ranges",
                arrays={},
                unit=1.0,
                ranges=ColumnRanges(columns=tuple(ranges), types=kinds),
                share=0.01,
            ).write(extra)
        columns = "".join(f"  {c.name}: {{type: {c.type}}}\n" for c in self.schema.columns)
        (extra / "expectations.yaml").write_text(f"columns:\n{columns}  dropped: {{type: text}}\n")
        self.predictor = RowPredictor.load(folder)


def as_text(rows: pl.DataFrame) -> pl.DataFrame:
    """The typed rows as the cells of a file, in the formats of the schema."""
    price = [None if v is None else f"{v:.2f} €".replace(".", ",") for v in rows["price"]]
    return rows.with_columns(
        pl.Series("price", price),
        pl.col("day").dt.strftime("%d/%m/%Y"),
        pl.col("count").cast(pl.String),
        pl.col("member").cast(pl.String),
    )
