"""What the proxy's addon takes for an address of the internet. The rest of it is tried with mitmproxy itself."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest

from triptych.sandbox import proxy


@pytest.fixture
def addon(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The addon's module, with a mitmproxy that holds nothing: the real one is in an environment of its own."""
    named = {
        "mitmproxy": ("connection", "ctx", "http"),
        "mitmproxy.net.http": ("url",),
        "mitmproxy.proxy.server_hooks": ("ServerConnectionHookData",),
    }
    for name in ("mitmproxy.net", "mitmproxy.proxy", *named):
        module = ModuleType(name)
        for each in named.get(name, ()):
            setattr(module, each, None)
        monkeypatch.setitem(sys.modules, name, module)
    place = proxy.__file__.replace("proxy.py", "addon/egress.py")
    spec = importlib.util.spec_from_file_location("egress_addon", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "egress_addon", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:220:1::1", "::ffff:93.184.215.14"])
def test_what_is_public(addon: Any, address: str) -> None:
    assert addon.is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.17.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
        "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1",
        "fe80::1%eth0", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::1",
        "64:ff9b:1::7f00:1", "::127.0.0.1", "::ffff:0:127.0.0.1", "fec0::1", "192.0.0.192", "168.63.129.16",
        "192.88.99.1", "64:ff9b::7f00:1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1",
    ],
)  # fmt: skip
def test_what_is_not(addon: Any, address: str) -> None:
    assert not addon.is_public(address)
