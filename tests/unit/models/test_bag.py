"""A bag: the mean of its networks, with the features of the first."""

from __future__ import annotations

import pytest
import torch
from tests.made import as_tensors, made_examples, made_spec, small_model

from plumbline.examples import InputSpec, bagged_name
from plumbline.kinds import Task
from plumbline.models import build_model, learn_inputs, to_prediction
from plumbline.models.bag import make_bag
from plumbline.models.penultimate import output_and_features


@pytest.mark.parametrize("name", ["mlp", "tabm_mini"])
def test_a_bag_predicts_the_mean_and_has_the_features_of_its_first_network(name: str) -> None:
    spec, config = made_spec(Task.BINARY), small_model(name)
    examples = made_examples(spec, 20)
    learned = learn_inputs(config, spec, examples.inputs)
    networks = [build_model(config, spec, learned=learned, seed=seed).eval() for seed in (0, 1)]
    inputs = as_tensors(examples.inputs)
    bag = make_bag(networks, InputSpec.of_bag([spec, spec]), None).eval()
    with torch.no_grad():
        output, features = output_and_features(
            bag, {bagged_name(own, k): x for own, x in inputs.items() for k in (0, 1)}
        )
        _, wanted = output_and_features(networks[0], inputs)
        each = [to_prediction(network(**inputs), Task.BINARY) for network in networks]
    torch.testing.assert_close(features, wanted)
    torch.testing.assert_close(to_prediction(output, Task.BINARY), (each[0] + each[1]) / 2)
