"""Which classes are parts of which: CellMap's table of names, ids and atomic ids."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..geometry import did_you_mean

_COLUMNS = "name, id, atomic ids"


@dataclass(frozen=True)
class ClassHierarchy:
    """Each class as a set of atomic classes, of which any point of space belongs to one at most.

    So a class lies within another one whose set holds its own, excludes those that share no atomic class with it, and
    is all that its parts are together.

    Args:
        atoms: class -> ids of its atomic classes; a class that has no parts is its own.
    """

    atoms: Mapping[str, frozenset[int]]

    @classmethod
    def read(cls, path: str | Path) -> ClassHierarchy:
        """Read a CSV file whose lines are `name,id,"id,id,..."`; the third column is empty for an atomic class.

        A first line with the columns' names is left out. Ids of classes that have parts stand for these. Ids that no
        line is about are atomic classes without a name.

        Raises:
            FileNotFoundError: if the file does not exist.
            ValueError: for a line that is not of this form, a name or id that is there twice, or a class that is a
                part of itself; the message names it.
        """
        source = Path(path)
        numbers: dict[str, int] = {}
        parts: dict[int, list[int]] = {}
        with source.open(newline="") as file:
            for number, cells in enumerate(csv.reader(file, skipinitialspace=True), start=1):
                row = [cell.strip() for cell in cells]
                if not any(row) or (number == 1 and row[1:2] == ["id"]):
                    continue
                where = f"{source}, line {number}"
                name, own, listed = _parsed(row, where)
                if name in numbers or own in parts:
                    raise ValueError(f"{where}: name and id must be new; got {name}, {own} a second time")
                numbers[name], parts[own] = own, listed
        if not numbers:
            raise ValueError(f"{source}: there are no classes; expected lines of {_COLUMNS}")
        return cls({name: _atoms(own, parts, (), source) for name, own in numbers.items()})

    def of(self, names: Iterable[str]) -> list[frozenset[int]]:
        """Atomic classes of some classes, in the order given.

        Raises:
            ValueError: for a name that is not there.
        """
        names = list(names)
        wrong = [f"'{name}'{did_you_mean(name, self.atoms)}" for name in names if name not in self.atoms]
        if wrong:
            raise ValueError(f"the class hierarchy has no {', '.join(wrong)}; it has {', '.join(self.atoms)}")
        return [self.atoms[name] for name in names]

    def is_within(self, inner: str, outer: str) -> bool:
        """Whether a point of one class always belongs to another one as well."""
        first, second = self.of([inner, outer])
        return first <= second

    def exclude_each_other(self, one: str, other: str) -> bool:
        """Whether no point belongs to both classes."""
        first, second = self.of([one, other])
        return first.isdisjoint(second)


def _parsed(row: list[str], where: str) -> tuple[str, int, list[int]]:
    """Name, id, and ids of the parts."""
    try:
        name, own, *rest = row
        listed = [int(cell) for cells in rest for cell in cells.split(",") if cell.strip()]
        return name, int(own), listed
    except ValueError:
        raise ValueError(f'{where}: expected {_COLUMNS}, such as nuc,37,"20,21"; got {",".join(row)}') from None


def _atoms(own: int, parts: Mapping[int, list[int]], above: tuple[int, ...], source: Path) -> frozenset[int]:
    if own in above:
        raise ValueError(f"{source}: class {own} is a part of itself, through {', '.join(map(str, above))}")
    listed = [part for part in parts.get(own, []) if part != own]
    if not listed:
        return frozenset([own])
    return frozenset().union(*(_atoms(part, parts, (*above, own), source) for part in listed))
