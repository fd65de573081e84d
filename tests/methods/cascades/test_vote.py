import pytest
import torch

from pancascade.methods.cascades.vote import majority_vote, mean_vote, voted_probability

MASKS = [torch.tensor(mask) for mask in ((1, 1, 0, 0, 1), (1, 0, 1, 0, 1), (0, 1, 0, 1, 1))]
PROBABILITIES = [
    torch.tensor(maps) for maps in ((0.9, 0.6, 0.4, 0.1, 0.55), (0.8, 0.3, 0.6, 0.2, 0.3), (0.1, 0.55, 0.45, 0.9, 0.6))
]


def test_two_of_the_printed_masks_win():
    assert majority_vote(MASKS).tolist() == [True, True, False, False, True]
    assert torch.equal(majority_vote([mask.bool() for mask in MASKS]), majority_vote(MASKS))


def test_the_printed_probabilities_decide_as_printed():
    assert majority_vote([maps >= 0.5 for maps in PROBABILITIES]).tolist() == [True, True, False, False, True]
    assert mean_vote(PROBABILITIES).tolist() == [True, False, False, False, False]


def test_a_mean_of_exactly_one_half_wins():
    assert mean_vote([torch.tensor([0.25]), torch.tensor([0.75])]).tolist() == [True]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_voted_probability_is_one_half_or_more_exactly_where_the_majority_is(count):
    generator = torch.Generator().manual_seed(count)
    # Multiples of ⅛, so that ½ itself occurs often.
    maps = [torch.randint(0, 9, (2, 5, 6, 7), generator=generator) / 8 for _ in range(count)]
    won = majority_vote([one >= 0.5 for one in maps])
    assert 0.1 < won.float().mean() < 0.9
    assert torch.equal(voted_probability(maps, rule="majority") >= 0.5, won)


def test_the_voted_probability_of_three_is_their_median_and_of_the_mean_rule_their_mean():
    assert voted_probability(PROBABILITIES, rule="majority").tolist() == pytest.approx([0.8, 0.55, 0.45, 0.2, 0.55])
    mean = voted_probability(PROBABILITIES, rule="mean")
    assert mean.tolist() == pytest.approx([0.6, 1.45 / 3, 1.45 / 3, 0.4, 1.45 / 3])
    assert torch.equal(mean >= 0.5, mean_vote(PROBABILITIES))


def test_votes_keep_any_shape():
    maps = [torch.rand(2, 1, 4, 3) for _ in range(3)]
    assert majority_vote([one >= 0.5 for one in maps]).shape == (2, 1, 4, 3)
    assert mean_vote(maps).shape == (2, 1, 4, 3)
    assert majority_vote([torch.tensor(True)] * 3).shape == ()


@pytest.mark.parametrize("vote", [majority_vote, mean_vote])
def test_a_vote_of_nothing_or_of_unlike_maps_is_refused(vote):
    with pytest.raises(ValueError, match="got 0 of shapes"):
        vote([])
    with pytest.raises(ValueError, match=r"got 2 of shapes \[\(2,\), \(3,\)\]"):
        vote([torch.zeros(2), torch.zeros(3)])
