"""What a rule of egress may say."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from triptych.runtime.sandboxes import SandboxPolicy
from triptych.sandbox.policy import Egress, Template, load, save


@pytest.mark.parametrize(
    "host", ["example.com", "a-b.example.com", "xn--bcher-kva.example", "localhost", "127.0.0.1", "::1", "2001:db8::1"]
)
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert Egress(host=host) == Egress(host=host, port=443, scheme="https", header=None, secret=None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": ""},
        {"host": "*.example.com"},
        {"host": "Example.com"},
        {"host": "example.com."},
        {"host": "example.com/path"},
        {"host": "https://example.com"},
        {"host": "example.com:443"},
        {"host": "user@example.com"},
        {"host": "-example.com"},
        {"host": "example..com"},
        {"host": "bücher.example"},
        {"host": "0:0:0:0:0:0:0:1"},
        {"host": "[::1]"},
        {"port": 0},
        {"port": 65536},
        {"scheme": "ftp"},
        {"header": "Authorization"},
        {"secret": "key"},
        {"header": "X: y", "secret": "key"},
        {"header": "Host", "secret": "key"},
        {"header": "Proxy-Authorization", "secret": "key"},
        {"header": "Transfer-Encoding", "secret": "key"},
        {"header": "X_Api_Key", "secret": "key"},
        {"header": "Authorization", "secret": "../key"},
        {"header": "Authorization", "secret": ".."},
        {"header": "Authorization", "secret": "a/b"},
        {"header": "Authorization", "secret": "Bearer of it all"},
        {"path": "/v1"},
    ],
)
def test_anything_else_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Egress.model_validate({"host": "example.com", **wrong})


def test_a_template_has_none_by_default_and_keeps_what_it_is_given(tmp_path: Path) -> None:
    assert Template(image="hands:1").egress == ()
    kind = Template(image="hands:1", egress=(Egress(host="example.com", header="X-Api-Key", secret="key"),))
    save(tmp_path / "templates.json", {"kind": kind})
    assert load(tmp_path / "templates.json") == {"kind": kind}


def test_a_block_takes_it_as_json_from_the_ui() -> None:
    rules = [{"host": "example.com", "port": 8443, "header": "Authorization", "secret": "key"}]
    block = SandboxPolicy.model_validate({"image": "hands:1", "egress": rules})
    assert block.template().egress == (Egress(host="example.com", port=8443, header="Authorization", secret="key"),)
