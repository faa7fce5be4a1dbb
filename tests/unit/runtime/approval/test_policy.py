"""The policy is a block that people edit: what comes into it by other ways than the form is checked all the same."""

from __future__ import annotations

from typing import Any, cast

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import BlockDocumentUpdate

from tests.components.prefect_server import PrefectServer
from triptych.errors import ConfigurationError
from triptych.runtime.approval.policy import ApprovalPolicy, load_policy
from triptych.settings import Settings

NAME = "edited-by-hand"


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ({"threshold_usd": -5}, "threshold_usd"),
        ({"threshold_usd": "a lot"}, "threshold_usd"),
        ({"time_to_live_seconds": 0}, "time_to_live_seconds"),
        ({"when_nobody_answers": "perhaps"}, "when_nobody_answers"),
        ({"when_nobody_answers": "escalate", "escalate_to": [" "]}, "escalate_to names nobody"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(
    prefect_server: PrefectServer, written: dict[str, Any], names: str
) -> None:
    settings = Settings(policy_block=NAME)
    document = await cast(Any, ApprovalPolicy()).save(NAME, overwrite=True)
    async with get_client() as client:
        # The API checks nothing.
        await client.update_block_document(document, BlockDocumentUpdate(data=written, merge_existing_data=True))
    with pytest.raises(ConfigurationError, match=names) as refused:
        await load_policy(settings)
    assert f"approval-policy/{NAME}" in str(refused.value)


async def test_none_at_all_is_refused(prefect_server: PrefectServer) -> None:
    with pytest.raises(ConfigurationError, match="approval-policy/nobody-saved-it"):
        await load_policy(Settings(policy_block="nobody-saved-it"))
