"""A page of neuroglancer on this machine, and the server behind it."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Sequence
from types import TracebackType

from .neuroglancer_layers import Layer
from .neuroglancer_state import page_state
from .neuroglancer_store import LayerStore

ADDRESS = "127.0.0.1"


class NeuroglancerPage:
    """A page that shows layers, until `close`.

    Page and voxels come from one server on the loopback interface, under addresses that hold a random token; a request
    whose Host is not this machine is refused. It gives
    the bytes of the stored arrays that were asked for and of nothing else, and computes chunks of what the client
    cannot read itself.

    Args:
        layers: from below to above.
        position: voxel z, y, x of the first layer where the view starts; default its middle.
        port: of the server; 0 takes one that is free.
        title: of the page.

    Attributes:
        url: what a browser opens.
        viewer: neuroglancer's own handle of the page: its state, and screenshots.

    Raises:
        ImportError: where neuroglancer is not installed.
        OSError: for a port that is in use.
        ValueError: for what is no port, and for a position outside of the first layer.
    """

    def __init__(
        self, layers: Sequence[Layer], *, position: Sequence[float] | None = None, port: int = 0, title: str = ""
    ) -> None:
        try:
            from neuroglancer.server import Server
            from neuroglancer.viewer_base import ViewerBase

            from .neuroglancer_handlers import refuse_foreign_hosts, store_handlers
        except ImportError as error:
            raise ImportError(
                f"{error}: viewing needs the package neuroglancer; install it with: pip install 'polytome[view]'"
            ) from error
        _require_free(port)
        state, stores = page_state(layers, position, title), [LayerStore(layer) for layer in layers]
        self._server = Server(bind_address=ADDRESS, bind_port=port)
        origin, token = f"http://{ADDRESS}:{self._server.port}", secrets.token_hex(20)
        for n, (store, layer_state) in enumerate(zip(stores, state["layers"], strict=True)):
            self._server.app.add_handlers(".*", store_handlers(f"/stores/{token}/{n}", store))
            layer_state["source"] = f"{origin}/stores/{token}/{n}/|zarr{store.zarr_format}:"
        refuse_foreign_hosts(self._server.app)
        self.viewer = ViewerBase(allow_credentials=False)
        self.viewer.set_state(state)
        self._server.viewers[self.viewer.token] = self.viewer
        self.url = f"{origin}/v/{self.viewer.token}/"

    def close(self) -> None:
        """Stop the server; the page in the browser stays as it is, without new data."""
        self._server.stop()

    def __enter__(self) -> NeuroglancerPage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _require_free(port: int) -> None:
    if not isinstance(port, int) or not 0 <= port < 2**16:
        raise ValueError(f"port: expected a number from 1 to 65535, or 0 for any that is free; got {port!r}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was just given up counts as free
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            raise OSError(f"port {port} of {ADDRESS}: {error.strerror}; choose another one by --port") from error
