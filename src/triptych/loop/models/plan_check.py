"""Does a plan fit a request? Asked before its first token, so that a plan that does not fit spends nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jsonschema.validators import validator_for
from pydantic_ai.messages import ModelResponsePart, TextPart, ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_core import to_json

from triptych.errors import ConfigurationError
from triptych.loop.models.plans import Plan, Turn


def check_turns(turns: Iterable[Turn], parameters: ModelRequestParameters) -> None:
    """Check that every call of these turns names a tool on offer and satisfies its schema.

    Args:
        turns: The turns to check.
        parameters: The request's, with the tools on offer.

    Raises:
        ConfigurationError: A call does not fit. The operator, who chose ticket and agent, sees it.
    """
    tools = {tool.name: tool.parameters_json_schema for tool in parameters.function_tools}
    for turn in turns:
        for call in turn.calls:
            schema = tools.get(call.name)
            if schema is None:
                offered = ", ".join(sorted(tools)) or "none"
                raise _misfit(f"it calls the tool {call.name}, which the agent does not have (it has: {offered})")
            if complaint := _complaint(call.arguments, schema):
                raise _misfit(f"its arguments for the tool {call.name} violate the tool's schema: {complaint}")


def final_part(plan: Plan, parameters: ModelRequestParameters, tool_call_id: str) -> ModelResponsePart:
    """The last response's only part, in whichever output mode the request asks for.

    Args:
        plan: Whose `final` it is.
        parameters: The request's, with its output tools, or the schema of a structured output in text.
        tool_call_id: For an output tool.

    Returns:
        A call of the first output tool whose schema takes the output; without output tools, text.

    Raises:
        ConfigurationError: Nothing takes the output. The operator sees it.
    """
    final = plan.final
    if isinstance(final, str):
        if not parameters.allow_text_output or parameters.output_mode in ("native", "prompted"):
            raise _misfit("its final output is plain text, and the agent wants a structured one")
        return TextPart(final)
    complaints: list[str] = []
    for tool in parameters.output_tools:
        # An output that is no object (a list, say) is wrapped in one by pydantic-ai, under this key.
        key = tool.outer_typed_dict_key
        arguments = {key: final} if key else final
        complaint = _complaint(arguments, tool.parameters_json_schema)
        if complaint is None:
            return ToolCallPart(tool.name, to_json(arguments).decode(), tool_call_id=tool_call_id)
        complaints.append(f"{tool.name}: {complaint}")
    if complaints:
        raise _misfit(f"no output tool takes its final output ({'; '.join(complaints)})")
    if not parameters.allow_text_output:
        raise _misfit("its final output needs an output tool, and the request offers none")
    if parameters.output_object is not None and (complaint := _complaint(final, parameters.output_object.json_schema)):
        raise _misfit(f"its final output violates the output's schema: {complaint}")
    return TextPart(to_json(final).decode())


def _complaint(value: Mapping[str, Any], schema: dict[str, Any]) -> str | None:
    """What is wrong with a value, in one line; None when it satisfies the schema."""
    errors = list(validator_for(schema)(schema).iter_errors(value))  # pyright: ignore[reportUnknownMemberType]
    return f"{errors[0].json_path}: {errors[0].message}" if errors else None


def _misfit(what: str) -> ConfigurationError:
    return ConfigurationError(f"the scripted model's plan does not fit the agent: {what}")
