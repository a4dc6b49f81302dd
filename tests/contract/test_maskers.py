"""Every kind of tensor has a masker that keeps the contract of `TensorMasker`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tests.made import image_tensor, made_examples, spec_of, text_tensor

from plumbline.errors import ParameterError
from plumbline.evaluation.masker import MASKERS, Masker, PatchMasker, TokenMasker
from plumbline.examples import InputSpec, TargetSpec, TensorSpec, take_inputs
from plumbline.kinds import Task
from plumbline.models.encoders import ENCODERS

# `day` is two numbers, `few` a number and a category
SPEC = spec_of(
    task=Task.REGRESSION,
    num_names=("a", "day.sin", "few", "day.cos"),
    num_sources=("a", "day", "few", "day"),
    cat_names=("few", "c"),
    cardinalities=(40, 50),
)
COLUMNS = SPEC
SPEC = replace(SPEC, tensors=(*SPEC.tensors, text_tensor(), image_tensor()))
OWN, OTHER = made_examples(SPEC, 30, 1).inputs, made_examples(SPEC, 30, 2).inputs
ONE = take_inputs(OWN, slice(1))
MADE = {tensor.name: MASKERS[tensor.kind](tensor) for tensor in SPEC}

each = pytest.mark.parametrize("name", list(MADE))


def test_every_kind_has_one() -> None:
    assert set(MASKERS) == set(ENCODERS) == {tensor.kind for tensor in SPEC}


@each
def test_with_all_players_a_row_is_its_own_and_without_the_other(name: str) -> None:
    masker, own, other = MADE[name], OWN[name], OTHER[name]
    everyone = np.ones((30, len(masker.names)), dtype=bool)
    for row, mine in ((own, own), (ONE[name], np.repeat(ONE[name], 30, axis=0))):
        for present, wanted in ((everyone, mine), (~everyone, other)):
            mixed = masker.mix(present, row, other)
            assert mixed.dtype == own.dtype
            assert_array_equal(mixed, wanted)


@each
def test_each_player_moves_something_and_together_they_move_all(name: str) -> None:
    masker, own, other = MADE[name], OWN[name], OTHER[name]
    moved = []
    for player in range(len(masker.names)):
        present = np.ones((30, len(masker.names)), dtype=bool)
        present[:, player] = False
        moved.append((masker.mix(present, own, other) != own).any(axis=0))
    assert_array_equal(np.sum(moved, axis=0), np.ones(own.shape[1:]))


@each
def test_drawn_values_are_those_of_the_chosen_background_rows(name: str) -> None:
    masker, own, background = MADE[name], ONE[name], OTHER[name]
    everything = len(masker.names)
    assert_array_equal(
        masker.draw(own, background, np.zeros((4, everything), dtype=np.int64)),
        np.repeat(own, 4, axis=0),
    )
    for row in (0, 7, 29):
        source = np.full((1, everything), row + 1)
        assert_array_equal(masker.draw(own, background, source), background[row : row + 1])
    source = np.zeros((everything, everything), dtype=np.int64)
    np.fill_diagonal(source, 5)
    present = ~np.eye(everything, dtype=bool)
    wanted = masker.mix(present, own, np.repeat(background[4:5], everything, axis=0))
    assert_array_equal(masker.draw(own, background, source), wanted)


@each
def test_a_player_differs_where_mixing_it_in_changes_the_row(name: str) -> None:
    masker, own = MADE[name], ONE[name]
    background = np.concatenate([OTHER[name], own])
    result = masker.differs(own, background)
    assert result.shape == (31, len(masker.names)) and not result[-1].any()
    for player in range(len(masker.names)):
        present = np.ones((31, len(masker.names)), dtype=bool)
        present[:, player] = False
        changed = (masker.mix(present, own, background) != own).reshape(31, -1).any(axis=1)
        assert_array_equal(result[:, player], changed)


@each
def test_pooled_amounts_keep_their_sum(name: str) -> None:
    masker, features = MADE[name], OWN[name].shape[1]
    amounts = np.random.default_rng(0).normal(size=(5, features))
    pooled = masker.pool(amounts)
    assert pooled.shape == (5, len(masker.names))
    assert_allclose(pooled.sum(axis=1), amounts.sum(axis=1))
    one_token = masker.pool(amounts[:, :1])  # which stands for all features
    assert_allclose(one_token.sum(axis=1), amounts[:, 0])


class TestTogether:
    """A column that became several tensors is one player."""

    everything = Masker.of(COLUMNS)

    def test_players_are_columns_in_the_order_of_first_use(self) -> None:
        assert self.everything.names == ("a", "day", "few", "c") and len(self.everything) == 4

    def test_a_column_moves_in_all_tensors_at_once(self) -> None:
        present = np.array([[True, True, False, True]])
        mixed = self.everything.mix(present, ONE, take_inputs(OTHER, slice(1)))
        assert_array_equal(mixed["num"] == ONE["num"], [[True, True, False, True]])
        assert_array_equal(mixed["cat"] == ONE["cat"], [[False, True]])

    def test_it_differs_where_any_of_its_tensors_does(self) -> None:
        other: dict[str, Any] = {name: array.copy() for name, array in ONE.items()}
        other["cat"][0, 0] += 1
        assert_array_equal(self.everything.differs(ONE, other), [[False, False, True, False]])

    def test_amounts_of_all_tensors_add_up(self) -> None:
        amounts = {"num": np.array([[1.0, 2.0, 3.0, 4.0]]), "cat": np.array([[10.0, 20.0]])}
        assert_array_equal(self.everything.pool(amounts), [[1.0, 6.0, 13.0, 20.0]])

    def test_draw_takes_each_column_from_its_own_row(self) -> None:
        drawn = self.everything.draw(ONE, OTHER, np.array([[0, 1, 2, 3]]))
        wanted = [ONE["num"][0, 0], OTHER["num"][0, 1], OTHER["num"][1, 2], OTHER["num"][0, 3]]
        assert_array_equal(drawn["num"], [wanted])
        assert_array_equal(drawn["cat"], [[OTHER["cat"][1, 0], OTHER["cat"][2, 1]]])

    def test_a_kind_without_a_masker_is_refused(self) -> None:
        odd = TensorSpec(
            name="t", kind="smell", dtype="float32", shape=(1,), features=("a",), sources=("a",)
        )
        spec = InputSpec(tensors=(odd,), target=TargetSpec(task=Task.REGRESSION))
        with pytest.raises(ParameterError, match=r"kind of tensor t.*smell"):
            Masker.of(spec)


class TestPartsOfAText:
    """Parts of one cell: absent ones are unknown or cut out, the rest of the row stays."""

    own = np.array([[5, 6, 7, 8, 0, 0]])
    other = np.array([[1, 1, 1, 1, 1, 1]])
    masker = TokenMasker(np.array([0, 1, 1, 2, -1, -1]), ("0", "1", "2"))

    @pytest.mark.parametrize(
        ("cut", "wanted"),
        [
            (
                False,
                [[5, 1, 1, 8, 0, 0], [1, 6, 7, 8, 0, 0], [5, 6, 7, 8, 0, 0], [1] * 4 + [0] * 2],
            ),
            (True, [[5, 8, 0, 0, 0, 0], [6, 7, 8, 0, 0, 0], [5, 6, 7, 8, 0, 0], [0] * 6]),
        ],
    )
    def test_absent_parts_are_unknown_or_cut_out(self, cut: bool, wanted: list[list[int]]) -> None:
        masker = TokenMasker(self.masker.owner, self.masker.names, cut=cut)
        present = np.array([[True, False, True], [False, True, True], [True] * 3, [False] * 3])
        mixed = masker.mix(present, self.own, self.other)
        assert_array_equal(mixed, wanted)
        assert mixed.dtype == self.own.dtype
        drawn = masker.draw(self.own, self.other, (~present).astype(np.int64))
        assert_array_equal(drawn, wanted)

    def test_an_unknown_part_moves_nothing_unless_it_is_cut_out(self) -> None:
        own = np.array([[5, 1, 1, 8, 0, 0]])
        assert_array_equal(self.masker.differs(own, self.other), [[True, False, True]])
        cut = TokenMasker(self.masker.owner, self.masker.names, cut=True)
        assert cut.differs(own, self.other).all()

    def test_amounts_of_tokens_add_up_to_parts(self) -> None:
        assert_array_equal(self.masker.pool(np.array([[1.0, 2, 3, 4, 99, 99]])), [[1, 5, 4]])

    def test_the_rest_of_the_row_stays(self) -> None:
        masker = Masker.inside({"text_0": self.masker}, ["num", "text_0"])
        row = {"num": np.array([[1.5, 2.5]]), "text_0": self.own}
        other = {"num": np.array([[9.0, 9.0]]), "text_0": self.other}
        mixed = masker.mix(np.array([[False, True, False]] * 2), row, other)
        assert_array_equal(mixed["num"], [[1.5, 2.5]] * 2)
        assert_array_equal(mixed["text_0"], [[1, 6, 7, 1, 0, 0]] * 2)
        amounts = {"num": np.ones((1, 2)), "text_0": np.ones((1, 6))}
        assert_array_equal(masker.pool(amounts), [[1, 2, 1]])


class TestPatchesOfAnImage:
    """Patches of one picture: absent ones show the other picture."""

    own = np.arange(1, 25, dtype=np.uint8).reshape(1, 2, 3, 4)
    other = np.full((1, 2, 3, 4), 99, dtype=np.uint8)
    owner = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2]])
    masker = PatchMasker(owner, ("0", "1", "2"))

    def test_absent_patches_show_the_other_picture_in_all_channels(self) -> None:
        present = np.array([[True, False, True], [True] * 3, [False] * 3])
        mixed = self.masker.mix(present, self.own, self.other)
        assert mixed.dtype == np.uint8
        assert_array_equal(mixed[0], np.where(self.owner == 1, self.other[0], self.own[0]))
        assert_array_equal(mixed[1:], np.concatenate([self.own, self.other]))
        drawn = self.masker.draw(self.own, self.other, (~present).astype(np.int64))
        assert_array_equal(drawn, mixed)

    def test_a_patch_differs_where_a_pixel_does(self) -> None:
        other = self.own.copy()
        other[0, 1, 2, 3] += 1
        assert_array_equal(self.masker.differs(self.own, other), [[False, False, True]])

    def test_amounts_of_pixels_add_up_to_patches(self) -> None:
        amounts = self.masker.by_feature(np.stack([np.ones((2, 3, 4)), np.full((2, 3, 4), 2.0)]))
        assert amounts.shape == (2, 12, 2)
        assert_array_equal(self.masker.pool(amounts.sum(-1)), [[8, 8, 8], [16, 16, 16]])
