"""Every field that a model request is made of, by name, and what a step's digest makes of it.

The installed pydantic-ai may gain a field with any release: `tests/unit/runtime/test_digest_fields.py` walks its types
and fails until somebody has put the new name into one of the sets below. At run time an unknown field is hashed: a
needless refusal is seen, a needless acceptance is not.
"""

from __future__ import annotations

from dataclasses import dataclass


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


@dataclass(frozen=True)
class Fields:
    """The fields of one kind of value."""

    hashed: frozenset[str]
    """What the model, or the run, would see changed."""
    volatile: frozenset[str] = frozenset()
    """Differs between two executions of the same step (measured)."""
    apart: frozenset[str] = frozenset()
    """Hashed under a name of its own, so that a change of it is named."""
    unseen: frozenset[str] = frozenset()
    """How a request travels or a tool is run, not what the model is shown."""

    @property
    def left_out(self) -> frozenset[str]:
        """What is not hashed with the rest."""
        return self.volatile | self.apart | self.unseen

    @property
    def known(self) -> frozenset[str]:
        """All names that have been classified."""
        return self.hashed | self.left_out


MESSAGE = Fields(
    hashed=_names(
        "kind state metadata usage model_name provider_name provider_url provider_details provider_response_id "
        "finish_reason workspace_ref history_digest failed_attempts"
    ),
    volatile=_names("timestamp run_id conversation_id"),
    # The instructions are repeated by every request and belong to the static part.
    apart=_names("instructions parts"),
)
"""`ModelRequest` and `ModelResponse`."""

ATTEMPT = Fields(
    hashed=_names("model_name provider_name outcome error usage"),
    volatile=_names("timestamp duration"),
)
"""`ModelResponse.failed_attempts`."""

PART = Fields(
    hashed=_names(
        "part_kind tool_kind id provider_name provider_details metadata content "
        # prompts and instructions
        "dynamic_ref scope dynamic on_change name instructions base_hash content_hash "
        # tool calls and what came of them
        "tool_name tool_call_id args outcome retry tools_added settings top_level "
        # text, thinking, speech
        "citations signature speaker transcript audio interrupted_at_ms"
    ),
    volatile=_names("timestamp"),
)
"""The parts of a message."""

VALUE = Fields(
    hashed=_names(
        "kind content metadata value tag description data media_type vendor_metadata url force_download file_id "
        "provider_name ttl _media_type _identifier "
        # retries
        "cause attempt max_retries "
        # where an instruction comes from
        "source name id "
        # citations
        "sources anchor title excerpts document_id start end "
        # usage
        "input_tokens output_tokens cache_write_tokens cache_write_1h_tokens cache_read_tokens unmeasured_requests "
        "output_reasoning_tokens input_audio_tokens cache_audio_read_tokens output_audio_tokens audio_seconds details "
        "cost provider"
    ),
)
"""What stands inside a part or a message, and has no field that differs between two executions."""

PARAMETERS = Fields(
    hashed=_names(
        "native_tools tool_visibility revealed_tool_names introduced_tool_names deferred_capability_ids output_mode "
        "output_object prompted_output_template allow_text_output allow_image_output instruction_visibility thinking "
        "cache"
    ),
    apart=_names("function_tools output_tools instruction_parts"),
    unseen=_names("_telemetry_mcp_url_ids _telemetry_mcp_url_toolset_ids _telemetry_mcp_url_tool_names"),
)
"""`ModelRequestParameters`."""

TOOL = Fields(
    hashed=_names(
        "name description parameters_json_schema outer_typed_dict_key strict sequential kind defer_loading "
        "unless_native with_native tool_kind unless_tool_kind return_schema include_return_schema toolset_id "
        "capability_id"
    ),
    unseen=_names("metadata timeout"),
)
"""`ToolDefinition`."""

OUTPUT = Fields(hashed=_names("json_schema name description strict"))
"""`OutputObjectDefinition`."""

SETTINGS = Fields(
    hashed=_names(
        "max_tokens temperature top_p top_k parallel_tool_calls tool_choice seed presence_penalty frequency_penalty "
        "logit_bias stop_sequences thinking citations cache service_tier extra_body"
    ),
    unseen=_names("timeout request_timeout max_retries extra_headers"),
)
"""`ModelSettings`; a provider's own settings are hashed."""
