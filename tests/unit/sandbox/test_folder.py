"""A broker has several sockets, and says beforehand whether their paths can be."""

from __future__ import annotations

from pathlib import Path

from triptych.sandbox.doors import SOCKET
from triptych.sandbox.folder import MAX_PATH_BYTES, brains_socket_path, broker_lacks, egress_path, socket_path
from triptych.sandbox.folder import forwards_path as forwards


def test_where_the_brokers_own_socket_fits_all_others_do() -> None:
    folder = Path("/a")
    others = (brains_socket_path(folder), forwards(folder) / "65535.sock", egress_path(folder) / ("f" * 8) / SOCKET)
    assert max(len(str(each)) for each in others) <= len(str(socket_path(folder)))


def test_a_path_that_is_too_long_is_said() -> None:
    folder = Path("/" + "a" * MAX_PATH_BYTES)
    assert "too long for a socket" in str(broker_lacks(folder))
