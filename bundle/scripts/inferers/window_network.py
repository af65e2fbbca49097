"""What windows go through: the network, and around it the passes and views over which its outputs are averaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .settings import StreamSettings
from .slice_passes import SlicePasses
from .test_time_augmentation import TestTimeAugmentation


def window_network(
    network: Callable[..., Any],
    targets: Mapping[str, Any],
    settings: StreamSettings,
    spacing: Sequence[float] | None,
) -> Callable[..., Any]:
    """The network as the settings want windows to be predicted; itself where they want nothing further.

    Each mirrored or turned view of a window is predicted slice by slice.

    Args:
        network: windows B C D H W -> dictionary target -> B K D H W; with `slice_axes`, slices B C 1 H W.
        targets: rows of what is wanted.
        settings: of the run.
        spacing: of the windows, z y x; `None`: the same along all.
    """
    if settings.slice_axes is not None:
        network = SlicePasses(network, targets, settings.slice_axes, settings.batch_size)
    if settings.is_augmented:
        network = TestTimeAugmentation(
            network,
            targets,
            mirror_axes=settings.mirror_axes,
            rotation_planes=settings.rotation_planes,
            spacing=spacing,
        )
    return network
