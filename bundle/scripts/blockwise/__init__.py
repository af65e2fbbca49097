"""What any computation over a huge volume shares: a journal of finished chunks, headers that say what was run."""

from .headers import as_json, header_differences
from .journal import Journal

__all__ = ["Journal", "as_json", "header_differences"]
