"""The block of the UI and the broker's template are one and the same."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from triptych.runtime.sandboxes import SandboxPolicy
from triptych.sandbox.policy import Template


def test_the_block_has_the_templates_fields_and_defaults() -> None:
    assert SandboxPolicy(image="hands:1").template() == Template(image="hands:1")
    ours = set(SandboxPolicy.model_fields) - {"block_type_slug"}
    assert ours == set(Template.model_fields)


@pytest.mark.parametrize(
    "wrong", [{"image": "--privileged"}, {"image": "a b"}, {"memory_mib": 1}, {"lease_seconds": 0}, {"boxes": 0}]
)
def test_a_value_out_of_its_bounds_makes_no_template(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SandboxPolicy.model_validate({"image": "hands:1", **wrong}).template()
