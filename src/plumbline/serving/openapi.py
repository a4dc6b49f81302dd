"""The service in OpenAPI: the columns of the version that answers, and an example that works."""

from __future__ import annotations

from typing import Any

from plumbline.cells import describe
from plumbline.config.serve import ServeConfig
from plumbline.images.read import WANTED
from plumbline.inference.out_of_distribution import FLAG, SCORE
from plumbline.kinds import CellKind, ColumnType
from plumbline.serving.feedback import MOST_ROWS
from plumbline.serving.served import Served
from plumbline.tables import Column

JSON_TYPES = {CellKind.BOOLEAN: "boolean", CellKind.NUMBER: "number", CellKind.TEXT: "string"}
OWN = {
    ColumnType.NUMBER: CellKind.NUMBER,
    ColumnType.INTEGER: CellKind.NUMBER,
    ColumnType.BOOLEAN: CellKind.BOOLEAN,
}
OWN_WORDS = {
    ColumnType.CATEGORY: "a category",
    ColumnType.TEXT: "a text",
    ColumnType.IMAGE: f"the bytes of an image file ({WANTED}) in base64",
}
EXAMPLES = 20  # values listed of a category
REFUSALS = {
    "400": "The body is not what its Content-Type says",
    "401": "The bearer token is missing or wrong",
    "413": "More bytes or rows than the service takes at once",
    "415": "The Content-Type is another",
    "422": "A row cannot be read; the body names row and column",
    "429": "Too many requests a second; Retry-After says when",
    "503": "Too much is waiting, or the time is up; Retry-After says when",
}


def openapi(served: Served, config: ServeConfig, *, title: str, token: bool) -> dict[str, Any]:
    """The description of the service. Args: token: it asks for one."""
    classes = served.predictor.schema.classes
    example = {"rows": [dict(row) for row in served.example]}
    answer = _object(
        {
            "request_id": {"type": "string"},
            "version": {"type": "string", "examples": [served.version]},
            "predictions": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/Prediction"},
            },
        },
        ["request_id", "version", "predictions"],
    )
    paths: dict[str, Any] = {
        "/predict": _post("A prediction for every row", _rows(config.max_rows), answer, example),
        "/explain": _explain(served, _rows(config.explain_rows)),
        "/feedback": _feedback(served, config.max_rows),
        "/health": _get("200 as long as the process lives", "application/json"),
        "/ready": _get("Which version answers, and what is out of order", "application/json"),
        "/metrics": _get("Counters for Prometheus", "text/plain"),
    }
    row = _row(served)
    paths["/predict"]["post"]["requestBody"]["content"]["multipart/form-data"] = {"schema": row}
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": served.version},
        "paths": paths,
        "components": {
            "schemas": {
                "Row": row,
                "Prediction": _prediction(list(classes)),
                "Refusal": _refusal(),
            }
        },
    }
    if token:
        schemes = {"token": {"type": "http", "scheme": "bearer"}}
        described["components"]["securitySchemes"] = schemes
        described["security"] = [{"token": []}]
    return described


def _rows(most: int) -> dict[str, Any]:
    """The body of a request for predictions."""
    item = {"$ref": "#/components/schemas/Row"}
    rows = {"type": "array", "minItems": 1, "maxItems": most, "items": item}
    return _object({"rows": rows}, ["rows"])


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _post(summary: str, body: Any, answer: Any, example: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": body, "example": example}}
    refusals = {
        status: {
            "description": text,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}},
        }
        for status, text in REFUSALS.items()
    }
    answered = {"description": "Done", "content": {"application/json": {"schema": answer}}}
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": content},
            "responses": {"200": answered, **refusals},
        }
    }


def _explain(served: Served, body: dict[str, Any]) -> dict[str, Any]:
    number = {"type": "number"}
    values = {"type": ["object", "null"], "additionalProperties": number}
    explanation = _object(
        {
            "predicted": {"type": ["string", "number"]},
            "output": {"type": "string"},
            "value": number,
            "reference": number,
            "contributions": values,
            "standard_errors": values,
            "permutations": {"type": "integer"},
            "limited_by": {
                "enum": ["evaluations", "time"],
                "description": "time: fewer permutations than serve.explain_evaluations allows",
            },
        },
        ["predicted", "output", "value", "reference", "contributions", "permutations"],
    )
    text = {"type": "string"}
    explanations = {"type": "array", "items": explanation}
    answer = _object(
        {"request_id": text, "version": text, "explanations": explanations},
        ["request_id", "version", "explanations"],
    )
    example = {"rows": [dict(row) for row in served.example[:1]]}
    return _post("What each column contributes to a row's prediction", body, answer, example)


def _feedback(served: Served, most: int) -> dict[str, Any]:
    known = list(served.predictor.schema.classes)
    label: dict[str, Any] = {"type": ["string", "number"]}
    if known:
        label = {"type": ["string", "number", "boolean"], "examples": known}
    number = {"type": "integer", "minimum": 0}
    row = _object(
        {
            "request_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            "row": {**number, "exclusiveMaximum": MOST_ROWS},
            "label": label,
        },
        ["request_id", "row", "label"],
    )
    example = {"request_id": "0" * 32, "row": 0, "label": known[0] if known else 1.5}
    described = _post(
        "Labels that came later, by the id of an answer",
        _object(
            {"labels": {"type": "array", "minItems": 1, "maxItems": most, "items": row}}, ["labels"]
        ),
        _object({"request_id": {"type": "string"}, "accepted": number}, ["accepted"]),
        {"labels": [example]},
    )
    described["post"]["responses"]["202"] = described["post"]["responses"].pop("200")
    return described


def _get(summary: str, kind: str) -> dict[str, Any]:
    answered = {"description": "Done", "content": {kind: {}}}
    return {"get": {"summary": summary, "responses": {"200": answered}}}


def _row(served: Served) -> dict[str, Any]:
    """An object with a property for each column that the model reads."""
    optional = served.parser.optional
    columns = served.predictor.columns
    return {
        "type": "object",
        "properties": {column.name: _cell(column, served) for column in columns},
        "required": [column.name for column in columns if column.name not in optional],
    }


def _cell(column: Column, served: Served) -> dict[str, Any]:
    own = OWN.get(column.type, CellKind.TEXT)
    kinds = served.predictor.accepted.kinds(column.name)
    types = [JSON_TYPES[kind] for kind in (own, *JSON_TYPES) if kind in kinds]
    types = list(dict.fromkeys(types))  # its own first
    if column.type is ColumnType.INTEGER:
        types = ["integer" if name == "number" else name for name in types]
    cell: dict[str, Any] = {"type": [*types, "null"]}
    cell["description"] = OWN_WORDS.get(column.type) or describe(column)
    if column.type is ColumnType.IMAGE:
        cell["contentEncoding"] = "base64"
    known = served.categories.get(column.name, ())
    if known:
        cell["description"] = f"a category, {len(known):,} known; an unknown one is answered too"
    examples = list(known[:EXAMPLES]) or [row[column.name] for row in served.example]
    cell["examples"] = [value for value in dict.fromkeys(examples) if value is not None]
    return cell


def _prediction(classes: list[str]) -> dict[str, Any]:
    number = {"type": ["number", "null"]}
    scored = {SCORE: number, FLAG: {"type": ["boolean", "null"]}}  # unless the version has none
    if not classes:
        return {
            "type": "object",
            "properties": {"predicted": number, "low": number, "high": number, **scored},
            "required": ["predicted"],
        }
    return {
        "type": "object",
        "properties": {
            "predicted": {"type": "string", "enum": classes},
            "probabilities": {"type": "object", "properties": dict.fromkeys(classes, number)},
            "prediction_set": {"type": "array", "items": {"type": "string"}},
            **scored,
        },
        "required": ["predicted", "probabilities"],
    }


def _refusal() -> dict[str, Any]:
    text = {"type": "string"}
    cell = {"row": {"type": "integer"}, "column": text, "reason": text}
    cells = {"type": "array", "items": {"type": "object", "properties": cell}}
    return {
        "type": "object",
        "properties": {"request_id": text, "error": text, "cells": cells},
        "required": ["request_id", "error"],
    }
