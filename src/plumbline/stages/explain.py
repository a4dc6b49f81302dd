"""explain: what the predictions rest on, by several methods, each with its faithfulness."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

import numpy as np

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.config.runtime import count_threads
from plumbline.errors import DataError
from plumbline.evaluation.distinct import KINDS, encoded_once
from plumbline.evaluation.explanation import Case, Explanation, Pick, explain
from plumbline.evaluation.explanation_budget import (
    TESTED,
    CellEffort,
    Effort,
    one_thread,
    operations,
    plan,
    used,
)
from plumbline.evaluation.faithfulness import deletions
from plumbline.evaluation.image_parts import absent_image
from plumbline.evaluation.masker import Masker
from plumbline.evaluation.metrics import predicted_classes
from plumbline.evaluation.picks import pick_rows
from plumbline.examples import Examples, InputSpec, take_inputs
from plumbline.export.weights_file import read_graph
from plumbline.files import write_json
from plumbline.inference import Predict
from plumbline.inference.decision import Decision
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.kinds import ByteArray, DoubleArray, IntArray, Part
from plumbline.manifest import sealed_dir
from plumbline.models.deployed import Deployed
from plumbline.numbers import plural
from plumbline.preprocessing.frames import take_rows
from plumbline.stages import Report
from plumbline.stages.explained_cells import (
    explain_patches,
    explain_words,
    plan_patches,
    plan_words,
)
from plumbline.stages.inputs import load_part, load_spec, load_table
from plumbline.store.bundle import Bundle, load_bundle
from plumbline.store.bundle_files import WEIGHTS
from plumbline.words import TASK_WORDS

TOP = 10
AVERAGED = 1000  # training images, whose mean an absent patch shows
Budget = dict[str, dict[str, Any]]
SHOWN = {"lime": "LIME", "integrated_gradients": "integrated gradients"}  # beside SHAP


def run(config: Config, paths: Paths) -> Report:
    """SHAP, integrated gradients, saliency, attention and LIME; write them and test them."""
    bundle = load_bundle(paths.model)
    prepared = _prepare(config, paths, bundle)
    case, budget = prepared.case, prepared.budget
    with one_thread(), encoded_once(bundle.model, bundle.spec):
        explanation = explain(
            case,
            pairs=prepared.effort.pairs,
            lime_samples=config.explain.lime_samples,
            faithfulness_rows=prepared.effort.tested,
        )
        ranking = list(explanation.ranking("shap"))
        words = explain_words(
            case,
            bundle.spec,
            bundle.preprocessor,
            prepared.opened[: prepared.words.rows],
            ranking,
            prepared.words,
            budget.pop("texts"),
        )
        patches = explain_patches(
            case,
            bundle.spec,
            prepared.absent,
            prepared.opened[: prepared.patches.rows],
            ranking,
            prepared.patches,
            budget.pop("images"),
        )
    with sealed_dir(paths.reports / "explain") as folder:
        write_json(
            artifacts.inside(folder, artifacts.IMPORTANCE),
            {**explanation.importance(), "budget": budget},
        )
        explanation.shap_frame().write_parquet(artifacts.inside(folder, artifacts.SHAP_VALUES))
        write_json(artifacts.inside(folder, artifacts.LIME), explanation.lime_json())
        faithfulness = {name: f.to_json() for name, f in explanation.faithfulness.items()}
        write_json(artifacts.inside(folder, artifacts.FAITHFULNESS), faithfulness)
        artifacts.write(words, folder)
        artifacts.write(patches, folder)
    rows = [
        *_rows(explanation, budget),
        *_cell_rows("words", words),
        *_cell_rows("patches", patches),
    ]
    return Report(rows=rows, outputs=[paths.reports / artifacts.IMPORTANCE])


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What is explained and how thoroughly. `opened` are the rows whose texts and images are
    opened, those of LIME first; `absent`: tensor of images -> what an absent patch shows."""

    case: Case
    opened: tuple[Pick, ...]
    absent: Mapping[str, ByteArray]
    effort: Effort
    words: CellEffort
    patches: CellEffort
    budget: Budget


def _prepare(config: Config, paths: Paths, bundle: Bundle) -> Prepared:
    """The rows to explain, the background, what the model's cost allows, and that in words."""
    settings, spec = config.explain, bundle.spec
    decision = Decision.read(paths.decision)
    predict = _predictor(config, paths, bundle, decision)
    train, test = load_part(paths, Part.TRAIN), load_part(paths, Part.TEST)
    if len(test) == 0:
        raise DataError("no test row to explain", file=paths.prepared / "test")
    masker = Masker.of(spec)
    rng = np.random.default_rng(config.seed)
    at_hand = {"test": len(test), "train": len(train)}
    effort = plan(
        operations(bundle.model, spec, ()),
        gradients=operations(bundle.model, spec),
        rows=min(settings.rows, len(test)),
        features=len(masker),
        background=min(settings.background, len(train)),
        tested=min(settings.faithfulness_rows, len(test)),
        deletions=deletions(len(masker), TESTED),
    )
    # in random order, so that the first few can stand for all
    test = test.take(rng.permutation(len(test))[: effort.rows])
    order = rng.permutation(len(train))
    absent = {
        tensor.name: absent_image(train.inputs[tensor.name][np.sort(order[:AVERAGED])])
        for tensor in spec.of_kind("image")
    }
    train = train.take(order[: effort.background])

    prediction, threshold = predict(test.inputs), decision.threshold
    outputs, of = _outputs(spec, prediction)
    some = f"the {plural(len(test), 'explained row')}" if len(test) < at_hand["test"] else ""
    reasons = pick_rows(test.y, prediction, spec.task, threshold, settings.lime_rows, of=some)
    cells = (spec, min(settings.cell_rows, len(test)), len(reasons), settings.lime_samples)
    words = plan_words(operations(bundle.model, spec, ("text",)), *cells)
    patches = plan_patches(operations(bundle.model, spec, ("image",)), *cells)
    further = {i: "" for i in range(len(test)) if i not in reasons}
    opened = dict(list({**reasons, **further}.items())[: max(words.rows, patches.rows)])
    picks = _picks(
        config, paths, masker, test, _decided(prediction, spec, threshold), {**opened, **reasons}
    )
    case = Case(
        predict=predict,
        deployed=Deployed(bundle.model, spec.task, bundle.target, decision.temperature).eval(),
        architecture=bundle.model,
        masker=masker,
        rows=take_inputs(test.inputs, slice(None)),
        numbers=np.array(test.rows),
        background=take_inputs(train.inputs, slice(None)),
        outputs=outputs,
        of=of,
        classes=spec.classes,
        picks=tuple(pick for pick in picks if pick.position in reasons),
        seed=config.seed,
    )
    budget = {
        "rows": used(settings.rows, at_hand["test"], len(test), "test rows"),
        "background": used(
            settings.background, at_hand["train"], effort.background, "training rows"
        ),
        "lime_rows": used(settings.lime_rows, len(test), len(reasons), "explained rows"),
        "lime_samples": used(
            settings.lime_samples, settings.lime_samples, settings.lime_samples, "samples"
        ),
        "faithfulness_rows": used(
            settings.faithfulness_rows, len(test), effort.tested, "explained rows"
        ),
        **{
            name: {
                "rows": used(settings.cell_rows, len(test), own.rows, "explained rows"),
                "permutations": 2 * own.pairs,
            }
            for name, own in (("texts", words), ("images", patches))
        },
    }
    return Prepared(
        case=case,
        opened=tuple(pick for pick in picks if pick.position in opened),
        absent=absent,
        effort=effort,
        words=words,
        patches=patches,
        budget=budget,
    )


def _predictor(config: Config, paths: Paths, bundle: Bundle, decision: Decision) -> Predict:
    """The graph that was evaluated, which answers more than twice as fast as torch; torch where
    texts and images are read, which it encodes once (`distinct`)."""
    if any(tensor.kind in KINDS for tensor in bundle.spec):
        return bundle.predictor(decision)
    graph = read_graph(paths.decision / artifacts.EVALUATED_GRAPH, paths.model / WEIGHTS)
    return OnnxPredictor(graph, threads=count_threads(config.runtime, 1))


def _decided(
    prediction: DoubleArray, spec: InputSpec, threshold: float | None
) -> list[str] | list[float]:
    """What each row is predicted as: a class, by the threshold where there is one, or a value."""
    if not spec.classes:
        return [float(v) for v in prediction[:, 0]]
    return [spec.classes[c] for c in predicted_classes(prediction, threshold)]


def _picks(
    config: Config,
    paths: Paths,
    masker: Masker,
    test: Examples,
    predicted: Sequence[str | float],
    reasons: Mapping[int, str],
) -> tuple[Pick, ...]:
    """The rows that are explained one by one, with their values as the data has them."""
    positions = np.array(list(reasons), dtype=np.int64)
    rows = np.asarray(test.rows, dtype=np.int64)[positions]
    classes = load_spec(paths).classes
    table, _ = load_table(config, paths)
    frame = take_rows(table, rows).select(masker.names).collect() if len(rows) else None
    order = {row: i for i, row in enumerate(sorted(rows.tolist()))}  # they come in file order
    picks = []
    for position, reason in reasons.items():
        y = test.y[position]
        values = frame.row(order[int(test.rows[position])], named=True) if frame is not None else {}
        picks.append(
            Pick(
                position=position,
                reason=reason,
                actual=classes[int(y)] if classes else float(y),
                predicted=predicted[position],
                values={name: _plain(value) for name, value in values.items()},
            )
        )
    return tuple(picks)


def _plain(value: Any) -> Any:
    """A cell as JSON has it: dates as text, days without a time; what is not finite is missing."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime) and value.time() == time.min:
        return value.date().isoformat()
    if isinstance(value, bytes):
        return "(image)"
    return value if isinstance(value, str | int | float | None) else str(value)


def _outputs(spec: InputSpec, prediction: DoubleArray) -> tuple[IntArray, str]:
    """Which output is explained in each row, and in words."""
    column = spec.task.spec.column
    outputs = prediction.argmax(1) if column is None else np.full(len(prediction), column)
    positive = spec.classes[column] if column is not None and spec.classes else None
    words = TASK_WORDS[spec.task].output.format(positive=positive)
    return outputs.astype(np.int64), words


def _rows(explanation: Explanation, budget: Budget) -> list[tuple[str, str]]:
    """The columns that matter most, then how faithful each method is."""
    shap = explanation.ranking("shap")
    others = {name: explanation.ranking(name) for name in explanation.methods if name in SHOWN}
    rows = [
        ("explained", explanation.case.of),
        ("test rows", _used(budget["rows"])),
        ("background rows", _used(budget["background"])),
    ]
    for column, value in list(shap.items())[:TOP]:
        beside = ", ".join(f"{SHOWN[m]} {ranking[column]:.3g}" for m, ranking in others.items())
        rows.append((column, f"SHAP {value:.3g}, {beside}"))
    agreement = [row["agreement_with_shap"] for row in explanation.lime_json()["rows"]]
    known = [a for a in agreement if a is not None]
    if known:
        rows.append(("LIME and SHAP", f"correlation {np.mean(known):.2f} on {len(known)} rows"))
    for method, test in explanation.faithfulness.items():
        words = f"{test.verdict}: area {test.area:.2f}, random {test.random:.2f} ({test.rows} rows)"
        rows.append((method.replace("_", " "), words))
    return rows


def _cell_rows(parts: str, cells: artifacts.CellExplanations) -> list[tuple[str, str]]:
    """How faithful each method is over the parts of the cells of each column."""
    return [
        (
            f"{parts} of {column}, {method.replace('_', ' ')}",
            f"{test['verdict']}: area {test['area']:.2f}, random {test['random']:.2f} "
            f"({plural(test['rows'], 'row')})",
        )
        for column, tests in cells.faithfulness.items()
        for method, test in tests.items()
    ]


def _used(entry: Mapping[str, Any]) -> str:
    """`12 of 100 (computing budget)`."""
    if entry["limited_by"] is None:
        return f"{entry['used']:,}"
    return f"{entry['used']:,} of {entry['requested']:,} ({entry['limited_by']})"
