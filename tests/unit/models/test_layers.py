"""Own layers: slopes against finite differences, values against reference implementations."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import tabm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.made import as_tensors, made_examples, made_spec, small_model
from torch import nn

from plumbline.errors import ParameterError
from plumbline.kinds import Task
from plumbline.models import build_model
from plumbline.models.embeddings import CategoryEmbedding, LinearTokens, number_edges
from plumbline.models.ft_transformer import Gated, SelfAttention
from plumbline.models.layers import BatchNorm, DropoutContext, SampleDropout
from plumbline.models.tabm import member_scales

pytestmark = pytest.mark.usefixtures("one_thread")


def doubles(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)


LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "batch norm, rows": (lambda: BatchNorm(3), (6, 3)),
    "batch norm, members": (lambda: BatchNorm(3), (4, 2, 3)),
    "linear tokens": (lambda: LinearTokens(3, 4), (5, 3)),
    "attention": (lambda: SelfAttention(4, 2), (3, 4, 4)),
    "gated": (lambda: Gated(3, 4, nn.SiLU()), (5, 3)),
    "dropout": (lambda: SampleDropout(0.4, DropoutContext(seed=1)), (6, 3)),
}


@pytest.mark.parametrize("name", list(LAYERS))
def test_slopes_of_inputs_and_parameters(name: str) -> None:
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    layer: nn.Module = make().double()
    keys = [key for key, _ in layer.named_parameters()]

    def call(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        result = torch.func.functional_call(layer, dict(zip(keys, values, strict=True)), (x,))
        assert isinstance(result, torch.Tensor)
        return result

    values = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    assert torch.autograd.gradcheck(call, (doubles(*shape), *values))


class TestBatchNorm:
    def test_is_that_of_torch(self) -> None:
        ours, theirs = BatchNorm(5), nn.BatchNorm1d(5)
        torch.manual_seed(0)
        for step in range(20):
            x = torch.randn(16, 5) * (step + 1) + 3
            torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-4)
        assert ours.num_batches_tracked == theirs.num_batches_tracked
        torch.testing.assert_close(ours.running_mean, theirs.running_mean)
        torch.testing.assert_close(ours.running_var, theirs.running_var)
        ours.eval(), theirs.eval()
        x = torch.randn(1, 5)
        torch.testing.assert_close(ours(x), theirs(x))

    def test_members_count_as_rows(self) -> None:
        ours, flat = BatchNorm(4), BatchNorm(4)
        x = torch.randn(8, 3, 4)
        torch.testing.assert_close(ours(x).flatten(0, 1), flat(x.flatten(0, 1)))

    def test_far_from_zero_the_variance_does_not_cancel(self) -> None:
        x = 1e4 + torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
        out = BatchNorm(3)(x)
        torch.testing.assert_close(out.var(0, correction=0), torch.ones(3), atol=0.01, rtol=0)

    def test_a_single_row_is_normalized_by_the_running_statistics(self) -> None:
        layer = BatchNorm(3)
        layer(torch.randn(32, 3))
        before = layer.running_mean.clone()
        x = torch.randn(1, 3)
        trained = layer(x)
        assert torch.equal(trained, layer.eval()(x))
        assert torch.equal(layer.running_mean, before)

    @pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
    def test_half_precision_keeps_its_type_and_sums_in_float32(
        self, precision: torch.dtype
    ) -> None:
        x = torch.randn(4096, 3, generator=torch.Generator().manual_seed(0)) + 20
        layer, full = BatchNorm(3), BatchNorm(3)
        out = layer(x.to(precision))
        wanted = full(x.to(precision).float())
        assert out.dtype == precision
        torch.testing.assert_close(layer.running_mean, full.running_mean)
        torch.testing.assert_close(out.float(), wanted, atol=0.02, rtol=0.02)


class TestSampleDropout:
    def test_drops_the_share_and_keeps_the_mean(self) -> None:
        layer = SampleDropout(0.3, DropoutContext(seed=0))
        out = layer(torch.ones(2000, 50))
        assert (out == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
        assert out.mean().item() == pytest.approx(1, abs=0.02)
        assert sorted(out.unique().tolist()) == pytest.approx([0.0, 1 / 0.7], rel=1e-4)

    @given(
        rate=st.floats(1e-9, 1, exclude_max=True),
        rows=st.integers(1, 7),
        dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    )
    def test_any_rate_and_shape(self, rate: float, rows: int, dtype: torch.dtype) -> None:
        noise = DropoutContext(seed=1, start=rows - 1, stop=rows, total=rows)
        out = SampleDropout(rate, noise)(torch.ones(1, 3, dtype=dtype))
        assert out.shape == (1, 3) and out.dtype == dtype
        assert out.isfinite().all()

    def test_rows_of_a_process_have_the_masks_of_the_whole_batch(self) -> None:
        whole = SampleDropout(0.5, DropoutContext(seed=1))(torch.ones(7, 5))
        noise = DropoutContext(seed=1, start=2, stop=5, total=7)
        assert torch.equal(SampleDropout(0.5, noise)(torch.ones(3, 5)), whole[2:5])

    def test_numbers_side_by_side_are_dropped_apart(self) -> None:
        dropped = (SampleDropout(0.5, DropoutContext(seed=0))(torch.ones(500, 64)) == 0).float()
        together = torch.corrcoef(dropped.T).fill_diagonal_(0)
        assert together.abs().max() < 0.25  # five standard errors

    def test_is_nothing_in_evaluation(self) -> None:
        x = torch.randn(4, 3)
        assert SampleDropout(0.9, DropoutContext(seed=0)).eval()(x) is x

    def test_masks_follow_seed_step_and_layer(self) -> None:
        x = torch.ones(50, 20)

        def mask(seed: int, step: int, number: int) -> torch.Tensor:
            layer = SampleDropout(0.5, DropoutContext(seed=seed, step=step))
            layer.layer = number
            return layer(x)

        assert torch.equal(mask(1, 2, 3), mask(1, 2, 3))
        others = [mask(2, 2, 3), mask(1, 3, 3), mask(1, 2, 4)]
        assert not any(torch.equal(mask(1, 2, 3), other) for other in others)

    def test_torchs_own_random_state_is_left_alone(self) -> None:
        before = torch.random.get_rng_state()
        SampleDropout(0.5, DropoutContext(seed=0))(torch.ones(3, 3))
        assert torch.equal(before, torch.random.get_rng_state())


def test_attention_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = SelfAttention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    x = torch.randn(5, 7, 8)
    wanted, weights = theirs(x, x, x, average_attn_weights=False)
    torch.testing.assert_close(ours(x), wanted)
    torch.testing.assert_close(ours.weights(x), weights)


@pytest.mark.parametrize("name", ["tabm", "tabm_mini"])
def test_an_ensemble_is_that_of_the_authors(name: str) -> None:
    """The whole network beside the package's, with the same weights."""
    spec = made_spec(Task.MULTICLASS)
    config = small_model(name, depth=2, dropout=0.0)
    ours = build_model(config, spec, seed=0).eval()
    chunks = ours.input.chunks  # type: ignore[union-attr]
    theirs = tabm.make_tabm_backbone(
        d_in=sum(chunks),  # type: ignore[arg-type]
        n_blocks=config.depth,
        d_block=config.width,
        dropout=0.0,
        k=config.members,
        arch_type=name.replace("_", "-"),
        start_scaling_init="normal",
        start_scaling_init_chunks=chunks,
    ).eval()
    own = [p for n, p in ours.named_parameters() if not n.startswith(("input.", "heads."))]
    scales = (config.members, sum(chunks))  # type: ignore[arg-type]
    parameters = sorted(own, key=lambda p: p.shape != scales)  # these first, the rest as they come
    others = sorted(theirs.parameters(), key=lambda p: p.shape != scales)
    assert [p.shape for p in parameters] == [p.shape for p in others]
    with torch.no_grad():
        for other, own in zip(others, parameters, strict=True):
            other.copy_(own)
    rows = made_examples(spec, 7)
    x = as_tensors(rows.inputs)
    flat = ours.input(x)[0][:, None].expand(-1, config.members, -1)  # type: ignore[operator]
    torch.testing.assert_close(ours(**x), ours.heads(theirs(flat)))  # type: ignore[operator]


def test_members_differ_by_a_scale_per_column() -> None:
    torch.manual_seed(0)
    scales = member_scales(16, [1, 4, 2], signs=True)
    assert scales.shape == (16, 7)
    assert set(scales.flatten().tolist()) == {-1.0, 1.0}
    assert (scales[:, 1:5] == scales[:, 1:2]).all() and (scales[:, 5:] == scales[:, 5:6]).all()
    assert len(member_scales(16, [1, 4, 2], signs=False).unique()) == 16 * 3


@pytest.mark.parametrize("name", ["tabm", "tabm_mini"])
def test_members_answer_differently(name: str) -> None:
    spec = made_spec(Task.MULTICLASS)
    rows = made_examples(spec, 5)
    out = build_model(small_model(name), spec, seed=0).eval()(**as_tensors(rows.inputs))
    assert not torch.allclose(out[:, 0], out[:, 1])


class TestEmbeddings:
    def test_a_categorys_unknown_slot_starts_at_zero(self) -> None:
        layer = CategoryEmbedding([3, 5], 4)
        out = layer(torch.tensor([[0, 0], [1, 0], [0, 4]]))  # (3, 2, 4)
        assert not out[0].any() and not out[1, 1].any() and not out[2, 0].any()
        assert out[1, 0].any() and out[2, 1].any()

    def test_columns_have_vectors_of_their_own(self) -> None:
        layer = CategoryEmbedding([3, 3], 4)
        out = layer(torch.tensor([[1, 1]]))
        assert not torch.equal(out[0, 0], out[0, 1])

    def test_edges_are_quantiles_of_the_training_rows(self) -> None:
        rows = made_examples(made_spec(), 1000)
        config = small_model(number_embedding="piecewise_linear", bins=4)
        edges = number_edges(config, rows.inputs["num"])
        assert edges is not None
        wanted = torch.quantile(
            torch.from_numpy(rows.inputs["num"]), torch.linspace(0, 1, 5), dim=0
        ).T
        torch.testing.assert_close(torch.tensor(edges), wanted)

    def test_repeated_and_constant_values_give_fewer_bins(self) -> None:
        x = torch.tensor([[0.0, 7.0]] * 90 + [[float(i), 7.0] for i in range(10)]).numpy()
        edges = number_edges(small_model(number_embedding="piecewise_linear"), x)
        assert edges is not None
        assert 2 <= len(edges[0]) < 9 and sorted(set(edges[0])) == edges[0]
        assert edges[1] == [7.0, 8.0]

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.integers(-3, 12), min_size=3, max_size=80),
        st.floats(0.01, 1e3),
        st.integers(2, 48),
    )
    def test_counts_of_any_kind_have_rising_edges(
        self, values: list[int], scale: float, bins: int
    ) -> None:
        """Between repeated values quantiles differ in their last digits alone."""
        x = (np.array(values, dtype=np.float32)[:, None] / np.float32(scale)).astype(np.float32)
        config = small_model("mlp", number_embedding="piecewise_linear", bins=bins)
        edges = number_edges(config, x)
        assert edges is not None
        assert (np.diff(np.float32(edges[0])) > 0).all()
        spec = made_spec(numbers=1, cardinalities=())
        for name in ("mlp", "ft_transformer"):
            own = dataclasses.replace(config, name=name)
            made = build_model(own, spec, {"num": edges}, seed=0)
            assert bool(made(num=torch.from_numpy(x)).isfinite().all())


class TestFTTransformer:
    def test_the_first_block_sees_the_tokens_as_they_are(self) -> None:
        """Gorishniy et al. 2021: without its first normalization, the others in their place."""
        model = build_model(small_model("ft_transformer", depth=2), made_spec(), seed=0)
        first, second = model.blocks  # type: ignore[misc]
        assert isinstance(first.norm_1, nn.Identity) and isinstance(second.norm_1, nn.LayerNorm)
        assert isinstance(first.norm_2, nn.LayerNorm)

    def test_the_gate_is_reglu(self) -> None:
        layer, x = Gated(3, 4, nn.ReLU()), torch.randn(5, 3)
        value, gate = layer.linear(x)[:, :4], layer.linear(x)[:, 4:]
        torch.testing.assert_close(layer(x), value * gate.clamp_min(0))

    def test_attention_maps_are_shares(self) -> None:
        spec = made_spec()
        rows = made_examples(spec, 6)
        model = build_model(small_model("ft_transformer", depth=2), spec, seed=0).eval()
        maps = model.attention(**as_tensors(rows.inputs))  # type: ignore[operator]
        assert {name: m.shape for name, m in maps.items()} == {"num": (6, 2, 3), "cat": (6, 2, 2)}
        joined = torch.cat([maps["num"], maps["cat"]], dim=-1)
        assert bool((joined >= 0).all()) and bool((joined.sum(-1) < 1).all())

    @pytest.mark.parametrize(
        ("more", "where"),
        [({"token_width": 10, "heads": 4}, "model.token_width"), ({"depth": 0}, "model.depth")],
    )
    def test_what_makes_no_transformer_is_refused(self, more: dict[str, int], where: str) -> None:
        with pytest.raises(ParameterError, match=r"params\.yaml") as caught:
            build_model(small_model("ft_transformer", **more), made_spec(), seed=0)
        assert where in str(caught.value)
