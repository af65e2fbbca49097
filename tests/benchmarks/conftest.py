"""The programs import what they share from beside them, as `python benchmarks/NAME.py` lets them."""

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

sys.path[:0] = [str(BENCHMARKS), str(BENCHMARKS / "reference_sides")]
