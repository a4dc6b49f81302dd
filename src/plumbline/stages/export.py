"""export: the ONNX graph that was evaluated, and the proof that it says what the model says."""

from __future__ import annotations

import hashlib
import shutil

import numpy as np

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.errors import DataError, GateError
from plumbline.export.onnx_graph import contract, with_metadata
from plumbline.export.parity import check_parity
from plumbline.export.weights_file import read_graph, without_weights
from plumbline.files import sha256, write_json
from plumbline.inference.decision import FILE, Decision
from plumbline.kinds import Part, TargetKind
from plumbline.manifest import sealed_dir
from plumbline.stages import Report
from plumbline.stages.inputs import load_part
from plumbline.store.bundle import Bundle, load_bundle
from plumbline.store.bundle_files import WEIGHTS


def run(config: Config, paths: Paths) -> Report:
    """Write the graph with its contract; refuse it where it differs from torch."""
    bundle = load_bundle(paths.model)
    decision = Decision.read(paths.decision)
    sources = {**bundle.metadata["sha256"], FILE: sha256(paths.decision / FILE)}
    metadata = {f"sha256 of {name}": value for name, value in sources.items()}
    graph = with_metadata(
        read_graph(paths.decision / artifacts.EVALUATED_GRAPH, paths.model / WEIGHTS),
        {
            **metadata,
            "task": str(bundle.spec.task),
            "classes": "\n".join(bundle.spec.classes),
        },
    )
    parity = _parity(config, paths, bundle, decision, graph)
    report = artifacts.write(parity, paths.reports)
    if not parity.passed:
        raise GateError(
            f"parity: ONNX Runtime differs from torch by {_amounts(parity)}, "
            f"more than export.tolerance ({parity.tolerance:g}).",
            report=report.relative_to(paths.root).as_posix(),
            hint="Raise export.tolerance, try another export.opset, or scale the target "
            "(train.target_transform)",
        )
    with sealed_dir(paths.onnx, beside=[report]) as folder:
        weights = folder / WEIGHTS
        shutil.copyfile(paths.model / WEIGHTS, weights)
        (folder / artifacts.GRAPH).write_bytes(without_weights(graph, weights))
        assert read_graph(folder / artifacts.GRAPH) == graph
        described = contract(
            bundle.spec,
            temperature=decision.temperature,
            opset=config.export.opset,
            sha256=hashlib.sha256(graph).hexdigest(),
            sources=sources,
            features=bundle.feature_count(),
        )
        write_json(folder / artifacts.CONTRACT, described)
    inputs = ", ".join(f"{t.name} {('N', *t.shape)}".replace("'", "") for t in bundle.spec)
    return Report(
        rows=[
            ("graph", f"{len(graph) / 1000:,.0f} kB, opset {config.export.opset}"),
            ("inputs", inputs),
            ("output", described["output"]["meaning"]),
            ("parity", f"{_amount(parity)} on {parity.rows:,} test rows"),
        ],
        outputs=[paths.onnx / artifacts.CONTRACT, report],
    )


def _parity(
    config: Config, paths: Paths, bundle: Bundle, decision: Decision, graph: bytes
) -> artifacts.ParityResult:
    test = load_part(paths, Part.TEST)
    if len(test) == 0:
        raise DataError("no test row to compare predictions on", file=paths.prepared / "test")
    test = test.take(
        np.linspace(0, len(test) - 1, min(len(test), config.export.parity_rows)).astype(int)
    )
    targets = None
    if bundle.spec.task.spec.target is TargetKind.NUMBERS:
        targets = np.asarray(load_part(paths, Part.TRAIN).y, dtype=np.float32)
    pairs = list(bundle.predictor(decision).with_features(test.inputs))
    return check_parity(
        graph,
        test.inputs,
        np.concatenate([prediction for prediction, _ in pairs]),
        tolerance=config.export.tolerance,
        targets=targets,
        features=np.concatenate([features for _, features in pairs]),
    )


def _amounts(parity: artifacts.ParityResult) -> str:
    """The difference of the predictions, or that of the features where only they differ."""
    most, features = parity.max_difference, parity.features
    if most is None or most > parity.tolerance:
        return _amount(parity)
    if features is None:
        return "a feature that is not finite"
    return f"{features:.2g} (standard deviations of the network's features)"


def _amount(parity: artifacts.ParityResult) -> str:
    if parity.max_difference is None:
        return "a prediction that is not finite"
    return f"{parity.max_difference:.2g} ({parity.unit})"
