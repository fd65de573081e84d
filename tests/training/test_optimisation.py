from itertools import pairwise

import pytest
import torch
from torch import nn

from pancascade.training.optimisation import build_optimiser, set_learning_rate, update_average
from pancascade.training.optimiser_settings import OptimiserSettings


def rates(settings, steps=10):
    optimiser = build_optimiser(nn.Linear(2, 2), settings)
    return [set_learning_rate(optimiser, settings, step=step, steps=steps) for step in range(steps)]


def test_the_poly_schedule_is_a_power_of_what_is_left():
    settings = OptimiserSettings(learning_rate=1.0, schedule="poly", power=0.9)
    assert rates(settings) == pytest.approx([(1 - step / 10) ** 0.9 for step in range(10)])


def test_the_cosine_schedule_falls_from_the_full_rate_through_the_half():
    values = rates(OptimiserSettings(learning_rate=2.0, schedule="cosine"))
    assert values[0] == 2.0
    assert values[5] == pytest.approx(1.0)
    assert all(a > b for a, b in pairwise(values))


def test_the_rate_warms_up_linearly():
    settings = OptimiserSettings(learning_rate=1.0, schedule="constant", warmup_steps=4)
    assert rates(settings)[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_biases_can_learn_faster_and_without_decay():
    settings = OptimiserSettings(learning_rate=0.1, weight_decay=0.5, bias_factor=2, decay_biases=False)
    optimiser = build_optimiser(nn.Linear(3, 2), settings)
    found = {tuple(g["params"][0].shape): (g["lr"], g["weight_decay"]) for g in optimiser.param_groups}
    assert found == {(2, 3): (0.1, 0.5), (2,): (0.2, 0.0)}


def test_parts_of_a_cascade_can_learn_faster_by_their_name():
    module = nn.ModuleDict({"first": nn.Linear(2, 2, bias=False), "second": nn.Linear(2, 2, bias=False)})
    settings = OptimiserSettings(learning_rate=0.1, factors={"second": 10})
    optimiser = build_optimiser(module, settings)
    set_learning_rate(optimiser, settings, step=0, steps=1)
    found = {id(p): g["lr"] for g in optimiser.param_groups for p in g["params"]}
    assert found[id(module["first"].weight)] == pytest.approx(0.1)
    assert found[id(module["second"].weight)] == pytest.approx(1.0)


def test_factors_multiply_with_the_bias_s_and_the_schedule_keeps_them():
    module = nn.ModuleDict({"first": nn.Linear(2, 3), "second": nn.Linear(2, 3)})
    settings = OptimiserSettings(learning_rate=0.1, factors={"second": 10}, bias_factor=2, schedule="cosine")
    optimiser = build_optimiser(module, settings)
    assert set_learning_rate(optimiser, settings, step=5, steps=10) == pytest.approx(0.05)
    found = {id(p): g["lr"] for g in optimiser.param_groups for p in g["params"]}
    rates = {name: found[id(p)] for name, p in module.named_parameters()}
    assert rates == pytest.approx({"first.weight": 0.05, "first.bias": 0.1, "second.weight": 0.5, "second.bias": 1.0})


def test_frozen_parameters_are_left_out():
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    groups = build_optimiser(module, OptimiserSettings()).param_groups
    assert [p is module.weight for g in groups for p in g["params"]] == [True]


@pytest.mark.parametrize(
    ("kind", "algorithm"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_the_algorithm_is_the_recipe_s(kind, algorithm):
    optimiser = build_optimiser(nn.Linear(2, 2), OptimiserSettings(kind=kind, momentum=0.7, weight_decay=0.03))
    assert type(optimiser) is algorithm
    assert optimiser.param_groups[0]["weight_decay"] == 0.03
    assert optimiser.param_groups[0].get("momentum", 0.7) == 0.7


def test_warm_up_multiplies_the_schedule():
    settings = OptimiserSettings(learning_rate=1.0, schedule="poly", power=1.0, warmup_steps=4)
    assert rates(settings)[:5] == pytest.approx([0.25, 0.5 * 0.9, 0.75 * 0.8, 0.7, 0.6])


def test_sgd_with_decay_is_the_textbook_step():
    weight = nn.Linear(1, 1, bias=False)
    nn.init.constant_(weight.weight, 2.0)
    settings = OptimiserSettings(kind="sgd", learning_rate=0.1, momentum=0.0, weight_decay=0.5)
    optimiser = build_optimiser(weight, settings)
    weight(torch.ones(1, 1)).sum().backward()
    optimiser.step()
    assert float(weight.weight.detach()) == pytest.approx(2.0 - 0.1 * (1.0 + 0.5 * 2.0))


def test_the_average_follows_quickly_at_first_and_slowly_later():
    average, current = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    nn.init.zeros_(average.weight)
    nn.init.ones_(current.weight)
    current.num_batches_tracked.fill_(7)
    current.running_mean.fill_(3.0)
    update_average(average, current, decay=0.99, step=0)
    assert float(average.weight.detach()) == pytest.approx(0.9)
    assert float(average.running_mean) == pytest.approx(2.7)
    assert int(average.num_batches_tracked) == 7
    nn.init.zeros_(average.weight)
    update_average(average, current, decay=0.99, step=100_000)
    assert float(average.weight.detach()) == pytest.approx(0.01)


def test_the_rate_falls_tenfold_every_25_epochs():
    settings = OptimiserSettings(kind="adam", learning_rate=1e-4, schedule="step", step_epochs=25, step_factor=0.1)
    optimiser = build_optimiser(torch.nn.Linear(2, 2), settings)
    rates = [set_learning_rate(optimiser, settings, step=0, steps=1, epoch=epoch) for epoch in (0, 24, 25, 49, 50, 59)]
    assert rates == pytest.approx([1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6])
