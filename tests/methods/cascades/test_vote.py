import pytest
import torch

from pancascade.methods.cascades.vote import voted_probability

PROBABILITIES = [
    torch.tensor(maps) for maps in ((0.9, 0.6, 0.4, 0.1, 0.55), (0.8, 0.3, 0.6, 0.2, 0.3), (0.1, 0.55, 0.45, 0.9, 0.6))
]


def won(maps, rule):
    return (voted_probability(maps, rule=rule) >= 0.5).tolist()


def test_the_printed_probabilities_decide_as_printed():
    assert won(PROBABILITIES, "majority") == [True, True, False, False, True]
    assert won(PROBABILITIES, "mean") == [True, False, False, False, False]


def test_a_mean_of_exactly_one_half_wins():
    assert won([torch.tensor([0.25]), torch.tensor([0.75])], "mean") == [True]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_voted_probability_is_one_half_or_more_exactly_where_more_than_half_of_the_masks_are(count):
    generator = torch.Generator().manual_seed(count)
    # Multiples of ⅛, so that ½ itself occurs often.
    maps = [torch.randint(0, 9, (2, 5, 6, 7), generator=generator) / 8 for _ in range(count)]
    votes = torch.stack([one >= 0.5 for one in maps]).sum(dim=0)
    majority = 2 * votes > count
    assert 0.1 < majority.float().mean() < 0.9
    assert torch.equal(voted_probability(maps, rule="majority") >= 0.5, majority)


def test_the_voted_probability_of_three_is_their_median_and_of_the_mean_rule_their_mean():
    assert voted_probability(PROBABILITIES, rule="majority").tolist() == pytest.approx([0.8, 0.55, 0.45, 0.2, 0.55])
    mean = voted_probability(PROBABILITIES, rule="mean")
    assert mean.tolist() == pytest.approx([0.6, 1.45 / 3, 1.45 / 3, 0.4, 1.45 / 3])


@pytest.mark.parametrize("rule", ["majority", "mean"])
def test_votes_keep_any_shape(rule):
    assert voted_probability([torch.rand(2, 1, 4, 3) for _ in range(3)], rule=rule).shape == (2, 1, 4, 3)
    assert voted_probability([torch.tensor(0.5)] * 3, rule=rule).shape == ()


@pytest.mark.parametrize("rule", ["majority", "mean"])
def test_a_vote_of_nothing_or_of_unlike_maps_is_refused(rule):
    with pytest.raises(ValueError, match="got 0 of shapes"):
        voted_probability([], rule=rule)
    with pytest.raises(ValueError, match=r"got 2 of shapes \[\(2,\), \(3,\)\]"):
        voted_probability([torch.zeros(2), torch.zeros(3)], rule=rule)
