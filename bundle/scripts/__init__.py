"""Polytome: multi-task deep learning on volumes that do not fit in memory, as a MONAI bundle."""

import os

# torch then asks Linux for large pages: activations are allocated anew in every layer, and on a CPU a third of the time
# of a network goes into faults of small pages. It counts if it is set before torch allocates its first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
