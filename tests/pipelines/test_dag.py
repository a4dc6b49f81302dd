"""dvc.yaml becomes a graph, without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from pipelines.dag import build_graph, load_graph, select, waves

from plumbline.errors import ParameterError
from plumbline.stages import STAGES


def stage(deps: list[str], outs: list[Any], **more: Any) -> dict[str, Any]:
    return {"cmd": "true", "deps": deps, "outs": outs, **more}


def test_the_real_graph(root: Path) -> None:
    graph = load_graph(root / "dvc.yaml")
    assert tuple(graph) == STAGES
    assert graph["validate"] == ()
    assert graph["split"] == ("validate",)
    assert set(graph["explain"]) == {"validate", "split", "normalize", "train", "evaluate"}
    assert "export" in graph["register"] and "register" in graph["report"]
    assert {"explain", "drift", "export"} in [set(wave) for wave in waves(graph)]


@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning:pygtrie")
@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning:dvc")
def test_it_is_the_graph_that_dvc_sees(root: Path) -> None:
    with Repo(str(root)) as repo:
        graph = repo.index.graph
        stages = [node for node in graph if hasattr(node, "name")]  # not data.dvc
        values = {
            node.name: {other.name for other in graph.successors(node) if other in stages}
            for node in stages
        }
    assert {name: set(needed) for name, needed in load_graph(root / "dvc.yaml").items()} == values


@pytest.mark.parametrize(
    ("dependency", "output", "meets"),
    [
        ("out/a", "out/a", True),
        ("out/a/file.json", "out/a", True),
        ("out", "out/a", True),
        ("out/a/", "out/a", True),
        ("./out/a", "out/a", True),
        ("out/ab", "out/a", False),
        ("other", "out/a", False),
    ],
)
def test_folders_hold_files(dependency: str, output: str, meets: bool) -> None:
    graph = build_graph({"one": stage([], [output]), "two": stage([dependency], ["end"])})
    assert graph["two"] == (("one",) if meets else ())


def test_metrics_and_plots_are_outputs_and_may_carry_options() -> None:
    graph = build_graph(
        {
            "one": {"cmd": "a", "metrics": [{"m.json": {"cache": False}}], "plots": ["p.csv"]},
            "two": stage(["m.json"], []),
            "three": stage(["p.csv"], []),
        }
    )
    assert graph == {"one": (), "two": ("one",), "three": ("one",)}


def test_waves_are_as_early_as_can_be_and_in_file_order() -> None:
    graph = {"e": ("b", "c"), "c": ("a",), "b": ("a",), "a": (), "d": ()}
    assert waves(graph) == (("a", "d"), ("c", "b"), ("e",))
    assert waves({}) == ()


def test_a_cycle_is_refused_and_named() -> None:
    with pytest.raises(ParameterError, match=r"cycle: (one → two → one|two → one → two)"):
        build_graph({"one": stage(["b"], ["a"]), "two": stage(["a"], ["b"])})
    with pytest.raises(ParameterError, match="cycle: one → one"):
        build_graph({"one": stage(["a"], ["a"])})


def test_an_unknown_stage_is_refused_with_the_nearest() -> None:
    with pytest.raises(ParameterError, match="Did you mean 'train'"):
        waves({"train": (), "evaluate": ("trian",)})
    with pytest.raises(ParameterError, match="Did you mean 'train'"):
        select({"train": (), "evaluate": ("train",)}, ["trian"])


def test_select_takes_what_a_target_needs_and_keeps_the_order() -> None:
    graph = {"a": (), "b": ("a",), "c": ("b",), "x": ()}
    assert select(graph, ["b"]) == {"a": (), "b": ("a",)}
    assert list(select(graph, ["x", "c"])) == ["a", "b", "c", "x"]
    assert select(graph, []) == graph


@pytest.mark.parametrize("key", ["foreach", "matrix", "wdir"])
def test_what_it_does_not_follow_is_refused(key: str) -> None:
    with pytest.raises(ParameterError, match=rf"stages.one: '{key}'"):
        build_graph({"one": stage([], ["a"], **{key: "x"})})


def test_two_writers_of_a_path_are_refused() -> None:
    with pytest.raises(ParameterError, match="'one' and 'two' both write out/a"):
        build_graph({"one": stage([], ["out"]), "two": stage([], ["out/a"])})


@pytest.mark.parametrize("text", ["", "stages: [a]", "stages: {a: 3}", "stages: {a: [", "[]"])
def test_a_broken_file_is_one_message(tmp_path: Path, text: str) -> None:
    file = tmp_path / "dvc.yaml"
    file.write_text(text)
    with pytest.raises(ParameterError, match=r"dvc\.yaml"):
        load_graph(file)


def test_no_file_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no such file"):
        load_graph(tmp_path / "dvc.yaml")
