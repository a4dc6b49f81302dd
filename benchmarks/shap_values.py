"""SHAP values of a network beside shap.KernelExplainer: time, and error against exact values."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from torch import nn

from benchmarks.result import Figure, Result, Table, times
from plumbline.config.model import ModelConfig
from plumbline.evaluation.attribution import exact_shapley, sampled_shapley
from plumbline.evaluation.explanation_budget import PAIRS, one_thread
from plumbline.evaluation.masker import Masker
from plumbline.examples import InputSpec, TargetSpec, TensorSpec
from plumbline.inference import Predict
from plumbline.inference.torch_predictor import TorchPredictor
from plumbline.kinds import DoubleArray, FloatArray, IntArray, Task
from plumbline.models import build_model

ROWS, BACKGROUND, STEPS = 5, 100, 300
EXACT = 16  # columns whose 2^16 coalitions are enumerated
REPEATS = 2
PEERS = ("KernelExplainer", "KernelExplainer, l1_reg off")
PARTS = (64, 32, 16, 8, 4, 2, 1)  # shares of the peer's time that errors are shown for
FEWER = (128, 512, 1024)  # coalitions of a row, beside the peer's default of 2,048 + 2 M
TRIED = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)  # pairs of orders per background row


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One way to get the values: seconds of the processor for all rows, and its error."""

    name: str
    seconds: float
    error: float


def run() -> Result:
    """12 and 16 columns against exact values; all 30 against a reference of many orders."""
    rows, curves, figures = [], [], []
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for columns in (12, EXACT, 30):
            tried = compare(columns)
            rows += table(columns, tried)
            curves += curve(columns, tried)
            figures += [against(tried, peer, columns) for peer in PEERS]
    return Result(
        title="SHAP values",
        figures=figures,
        tables=[
            Table(
                title=f"{ROWS} rows, {BACKGROUND} background rows, MLP of two layers of 256, one "
                "thread",
                columns=["columns", "method", "seconds", "×", "error (root mean square)"],
                rows=rows,
            ),
            Table(
                title="The least error (root mean square) within a share of KernelExplainer's time",
                columns=["columns", "method", *(f"1/{part}" for part in PARTS)],
                rows=curves,
            ),
        ],
        notes=[
            "the value explained is a probability; the same prediction function for all; seconds "
            "are of the processor, nearly all of them the network's, so they count predictions",
            "at 12 columns KernelExplainer asks about half of the 4,096 coalitions, each with "
            "every background row, and about all with up to four columns in or out: the nearer it "
            "comes to all of them, the fewer predictions can be saved at its error",
            f"exact: all 2^{EXACT} coalitions with each background row; for 30 columns the "
            f"reference is {2 * 200 * BACKGROUND:,} orders, whose own error is a tenth of the "
            "errors shown",
            "KernelExplainer's default keeps ten columns of each row (`l1_reg`), which costs it "
            "accuracy; with that off it is a stronger peer, and the fewer the columns the nearer "
            "it comes to asking about every coalition (at 11 it does)",
            f"`plumbline explain` takes {PAIRS} pairs of orders per background row",
        ],
    )


def compare(columns: int) -> list[Tried]:
    """Each method on the first columns of the data."""
    import shap  # the peer

    x, y = load_breast_cancer(return_X_y=True)
    x = ((x - x.mean(0)) / x.std(0)).astype(np.float32)[:, :columns]
    spec = numbers(columns)
    predict, masker = fitted(spec, x, y), Masker.of(spec)
    selected = np.random.default_rng(1).permutation(len(x))
    rows, background = {"num": x[selected[:ROWS]]}, {"num": x[selected[-BACKGROUND:]]}
    outputs = np.ones(ROWS, dtype=np.int64)

    def kernel(**options: object) -> DoubleArray:
        explainer = shap.KernelExplainer(
            lambda z: predict({"num": z.astype(np.float32)})[:, 1], background["num"]
        )
        np.random.seed(0)  # noqa: NPY002 - the one it draws from
        answer: DoubleArray = explainer.shap_values(rows["num"], silent=True, **options)
        return answer

    def ours(pairs: int) -> DoubleArray:
        return sampled_shapley(
            predict, rows, background, masker, outputs, pairs=pairs, seed=0
        ).values

    query: dict[str, Callable[[], DoubleArray]] = {
        PEERS[0]: kernel,
        PEERS[1]: lambda: kernel(l1_reg=False),
        **{f"{PEERS[1]}, {n} coalitions": partial(kernel, l1_reg=False, nsamples=n) for n in FEWER},
        **{f"plumbline, {p} pairs": partial(ours, p) for p in TRIED},
    }
    reference = (
        exact_shapley(predict, rows, background, masker, outputs).values
        if columns <= EXACT
        else sampled_shapley(
            predict, rows, background, masker, outputs, pairs=200, seed=12345
        ).values
    )
    return [tried(name, ask, reference) for name, ask in query.items()]


def numbers(columns: int) -> InputSpec:
    """A number per column, two classes."""
    names = tuple(f"x{i}" for i in range(columns))
    num = TensorSpec(
        name="num",
        kind="numbers",
        dtype="float32",
        shape=(columns,),
        features=names,
        sources=names,
    )
    target = TargetSpec(task=Task.BINARY, classes=("no", "yes"))
    return InputSpec(tensors=(num,), target=target)


def fitted(spec: InputSpec, x: FloatArray, y: IntArray) -> Predict:
    """The prediction function of an MLP fitted on all rows."""
    model = build_model(
        ModelConfig(name="mlp", number_embedding="none", width=256, depth=2, dropout=0.0),
        spec,
        seed=0,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    inputs = torch.from_numpy(x)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(num=inputs)[:, 0], torch.from_numpy(y))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return TorchPredictor(model, Task.BINARY)


def tried(name: str, ask: Callable[[], DoubleArray], reference: DoubleArray) -> Tried:
    """The least of some times, and the error."""
    seconds = []
    for _ in range(REPEATS):
        begun = time.process_time()
        values = ask()
        seconds.append(time.process_time() - begun)
    error = float(np.sqrt(np.square(values - reference).mean()))
    return Tried(name=name, seconds=min(seconds), error=error)


def table(columns: int, methods: list[Tried]) -> list[list[str]]:
    """Rows of the published table; the first method is the peer that times are held against."""
    return [
        [
            str(columns),
            t.name,
            f"{t.seconds:.3f}",
            f"{methods[0].seconds / t.seconds:.1f}",
            f"{t.error:.5f}",
        ]
        for t in methods
    ]


def curve(columns: int, methods: list[Tried]) -> list[list[str]]:
    """Error against seconds: by shares of the peer's time, the least error of each method that
    takes no longer (a tenth more is let pass)."""
    lines = []
    for name in (PEERS[1], "plumbline"):
        own = [t for t in methods if t.name.startswith(name)]
        errors = [
            min(
                (t.error for t in own if t.seconds <= 1.1 * methods[0].seconds / part), default=None
            )
            for part in PARTS
        ]
        lines.append([str(columns), name, *("" if e is None else f"{e:.5f}" for e in errors)])
    return lines


def against(methods: list[Tried], peer: str, columns: int) -> Figure:
    """How much faster than the peer, by the fastest of ours whose error is no larger; 0 where
    none of ours gets there."""
    theirs = next(t for t in methods if t.name == peer)
    ours = [t for t in methods if t.name.startswith("plumbline") and t.error <= theirs.error]
    ratio = max((theirs.seconds / t.seconds for t in ours), default=0.0)
    return times(f"{columns} columns, at no larger error than {peer}", ratio, 20)
