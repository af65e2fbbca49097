"""The programs import what they share from beside them, as `python benchmarks/NAME.py` lets them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
