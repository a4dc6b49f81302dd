"""explain: what the predictions rest on, by several methods, each with its faithfulness."""

from __future__ import annotations

import numpy as np

from plumbline.config import Config, Paths
from plumbline.errors import DataError
from plumbline.evaluation.attribution import Inputs, Players
from plumbline.evaluation.calibration import apply_temperature
from plumbline.evaluation.effort import one_thread, operations, plan
from plumbline.evaluation.explanation import Case, Explanation, explain
from plumbline.files import new_dir, read_json, write_json
from plumbline.kinds import DoubleArray, FloatArray, IntArray, Part, Task
from plumbline.models.deployed import Deployed
from plumbline.stages import Report
from plumbline.stages.inputs import load_part
from plumbline.store.bundle import Bundle, load_bundle
from plumbline.tables import Arrays

TOP = 10
SHOWN = {"lime": "LIME", "integrated_gradients": "integrated gradients"}  # beside SHAP


def run(config: Config, paths: Paths) -> Report:
    """SHAP, integrated gradients, saliency, attention and LIME; write them and test them."""
    case, pairs = _prepare(config, paths)
    with one_thread():
        told = explain(
            case,
            pairs=pairs,
            lime_rows=config.explain.lime_rows,
            lime_samples=config.explain.lime_samples,
            faithfulness_rows=config.explain.faithfulness_rows,
        )
    with new_dir(paths.reports / "explain") as folder:
        write_json(folder / "importance.json", told.importance())
        told.shap_frame().write_parquet(folder / "shap.parquet")
        write_json(folder / "lime.json", told.lime_json())
        faithfulness = {name: f.to_json() for name, f in told.faithfulness.items()}
        write_json(folder / "faithfulness.json", faithfulness)
    return Report(rows=_rows(told), look=[paths.reports / "explain" / "importance.json"])


def _prepare(config: Config, paths: Paths) -> tuple[Case, int]:
    """The rows to explain, the background, and how many pairs of orders the model's cost allows."""
    bundle = load_bundle(paths.model)
    spec = bundle.spec
    temperature = float(read_json(paths.decision / "decision.json")["temperature"])
    train, test = load_part(paths, Part.TRAIN), load_part(paths, Part.TEST)
    if len(test) == 0:
        raise DataError("no test row to explain", file=paths.prepared / "test")
    players = Players.of(spec)
    rng = np.random.default_rng(config.seed)
    # in random order, so that the first few can stand for all
    test = test.take(rng.permutation(len(test))[: config.explain.rows])
    effort = plan(
        operations(bundle.model, spec),
        rows=len(test),
        players=len(players),
        background=min(config.explain.background, len(train)),
    )
    train = train.take(rng.permutation(len(train))[: effort.background])

    def predict(num: FloatArray, cat: IntArray) -> DoubleArray:
        told = bundle.predict(num, cat)
        return apply_temperature(told, temperature) if spec.task.is_classification else told

    outputs, of = _outputs(bundle, test)
    return Case(
        predict=predict,
        deployed=Deployed(bundle.model, spec.task, bundle.target, temperature).eval(),
        architecture=bundle.model,
        players=players,
        rows=_inputs(test),
        numbers=np.array(test.rows),
        background=_inputs(train),
        outputs=outputs,
        of=of,
        classes=spec.classes,
        seed=config.seed,
    ), effort.pairs


def _inputs(arrays: Arrays) -> Inputs:
    return Inputs(num=np.array(arrays.num), cat=np.array(arrays.cat))


def _outputs(bundle: Bundle, rows: Arrays) -> tuple[IntArray, str]:
    """Which output is explained in each row, and in words."""
    spec = bundle.spec
    if spec.task is Task.MULTICLASS:
        predicted = bundle.predict(rows.num, rows.cat).argmax(1).astype(np.int64)
        return predicted, "probability of the predicted class"
    if spec.task is Task.BINARY:
        return np.ones(len(rows), dtype=np.int64), f"probability of '{spec.classes[1]}'"
    return np.zeros(len(rows), dtype=np.int64), "value in the target's units"


def _rows(told: Explanation) -> list[tuple[str, str]]:
    """The columns that matter most, then what each method is worth."""
    shap = told.ranking("shap")
    others = {name: told.ranking(name) for name in told.methods if name in SHOWN}
    rows = [("explained", f"{told.case.of}, {len(told.case.rows)} test rows")]
    for column, value in list(shap.items())[:TOP]:
        beside = ", ".join(f"{SHOWN[m]} {ranking[column]:.3g}" for m, ranking in others.items())
        rows.append((column, f"SHAP {value:.3g}, {beside}"))
    agreement = [row["agreement_with_shap"] for row in told.lime_json()["rows"]]
    found = [a for a in agreement if a is not None]
    if found:
        rows.append(("LIME and SHAP", f"correlation {np.mean(found):.2f} on {len(found)} rows"))
    for method, test in told.faithfulness.items():
        words = f"{test.verdict}: area {test.area:.2f}, random {test.random:.2f} ({test.rows} rows)"
        rows.append((method.replace("_", " "), words))
    return rows
