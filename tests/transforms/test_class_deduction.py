"""What follows from what is known: by hand, and against all worlds in which the known is true."""

import itertools

import pytest
import torch

from scripts.transforms import fill_unknown

# cell = nuc + cyto, nuc = nucleolus + nucpl; ecs is outside; er is part of cyto and of nuc
ATOMS = {"ecs": {1}, "cell": {2, 3, 4, 5}, "nuc": {2, 3}, "nucleolus": {2}, "nucpl": {3}, "cyto": {4, 5}, "er": {3, 4}}
NAMES = list(ATOMS)


def decide(known, mutual_exclusion):
    """Fill one voxel; returns the classes that were decided."""
    states = torch.full((len(NAMES), 1), -1)
    for name, value in known.items():
        states[NAMES.index(name)] = value
    filled = fill_unknown(states, list(ATOMS.values()), mutual_exclusion)
    return {
        name: int(value) for name, value in zip(NAMES, filled[:, 0], strict=True) if value >= 0 and name not in known
    }


@pytest.mark.parametrize(
    ("known", "either_way", "by_exclusion"),
    [
        pytest.param({"nucleolus": 1}, {"nuc": 1, "cell": 1}, {"ecs": 0, "nucpl": 0, "cyto": 0, "er": 0}, id="subset"),
        pytest.param({"ecs": 1}, {}, dict.fromkeys(NAMES[1:], 0), id="disjoint"),
        pytest.param({"cell": 0}, {"nuc": 0, "nucleolus": 0, "nucpl": 0, "cyto": 0, "er": 0}, {}, id="absent whole"),
        pytest.param({"nucleolus": 0, "nucpl": 0}, {"nuc": 0}, {}, id="union of parts, absent"),
        pytest.param({"nuc": 0, "cyto": 0}, {"cell": 0, "nucleolus": 0, "nucpl": 0, "er": 0}, {}, id="union of unions"),
        pytest.param({"nucleolus": 0}, {}, {}, id="one part absent says nothing"),
        pytest.param({"nuc": 1}, {"cell": 1}, {"ecs": 0, "cyto": 0}, id="a part is not known"),
        pytest.param({"nuc": 1, "nucleolus": 0}, {"nucpl": 1, "cell": 1, "er": 1}, {"ecs": 0, "cyto": 0}, id="rest"),
        pytest.param({"nuc": 1, "er": 1}, {"cell": 1}, {"nucpl": 1, "nucleolus": 0, "ecs": 0, "cyto": 0}, id="overlap"),
        pytest.param({}, {}, {}, id="nothing known"),
    ],
)  # fmt: skip
def test_by_hand(known, either_way, by_exclusion):
    assert decide(known, mutual_exclusion=False) == either_way
    assert decide(known, mutual_exclusion=True) == either_way | by_exclusion


def test_contradictions_are_left_alone():
    assert decide({"cell": 0, "nuc": 1}, mutual_exclusion=False) == {}
    assert decide({"cell": 0, "nuc": 1}, mutual_exclusion=True) == {}
    assert decide({"ecs": 1, "nuc": 1}, mutual_exclusion=True) == {}
    assert decide({"ecs": 1, "nuc": 1}, mutual_exclusion=False) == {"cell": 1}  # both may be true there


def worlds(mutual_exclusion):
    """Every set of atomic classes that a voxel may belong to."""
    every = sorted(set().union(*ATOMS.values()))
    sizes = range(2) if mutual_exclusion else range(len(every) + 1)
    return [set(chosen) for size in sizes for chosen in itertools.combinations(every, size)]


@pytest.mark.parametrize("mutual_exclusion", [True, False])
def test_exactly_what_holds_in_all_worlds_is_decided(mutual_exclusion):
    states = torch.tensor(list(itertools.product([-1, 0, 1], repeat=len(NAMES)))).T.contiguous()  # K 3^K
    filled = fill_unknown(states, list(ATOMS.values()), mutual_exclusion)
    truths = [[bool(atoms & world) for atoms in ATOMS.values()] for world in worlds(mutual_exclusion)]
    for known, found in zip(states.T.tolist(), filled.T.tolist(), strict=True):
        fitting = [t for t in truths if all(k < 0 or t[i] == k for i, k in enumerate(known))]
        expected = [
            k if k >= 0 or not fitting or len({t[i] for t in fitting}) > 1 else int(fitting[0][i])
            for i, k in enumerate(known)
        ]
        assert found == expected, known


def test_many_classes_need_more_than_one_word():
    """70 atomic classes, each class holding one more than the last: a chain."""
    atoms = [set(range(n + 1)) for n in range(70)]
    states = torch.full((70, 2), -1)
    states[66, 0] = 1
    states[30, 1] = 0
    filled = fill_unknown(states, atoms)
    assert filled[:, 0].tolist() == [-1] * 66 + [1] * 4
    assert filled[:, 1].tolist() == [0] * 31 + [-1] * 39
    exclusive = fill_unknown(states, [{n} for n in range(70)], mutual_exclusion=True)
    assert exclusive[:, 0].tolist() == [0] * 66 + [1] + [0] * 3
    assert exclusive[:, 1].tolist() == [-1] * 30 + [0] + [-1] * 39


def test_the_input_stays_as_it_was_and_known_voxels_keep_their_value():
    states = torch.tensor([[[7, -1, 0]], [[-1, -1, 5]]])
    before = states.clone()
    filled = fill_unknown(states, [{1, 2}, {1}], mutual_exclusion=True)
    assert torch.equal(states, before)
    assert filled.tolist() == [[[7, -1, 0]], [[-1, -1, 5]]]  # the last one contradicts itself


def test_neighbours_do_not_matter():
    """Voxels in any order and shape are decided as each of them alone."""
    states = torch.randint(-1, 2, (len(NAMES), 3, 5, 7), generator=torch.Generator().manual_seed(0))
    states[:, :, 2:4] = states[:, :1, 2:3]  # some neighbours are equal
    filled = fill_unknown(states, list(ATOMS.values()), mutual_exclusion=True)
    for z, y, x in itertools.product(range(3), range(5), range(7)):
        alone = fill_unknown(states[:, z, y, x, None], list(ATOMS.values()), mutual_exclusion=True)
        assert torch.equal(filled[:, z, y, x], alone[:, 0])
    assert (filled != states).any()


def test_one_set_per_class():
    with pytest.raises(ValueError, match="expected the atomic classes of each of 2 classes; got 1 sets"):
        fill_unknown(torch.zeros(2, 1), [{1}])
