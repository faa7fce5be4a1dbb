"""A person's approval of tool calls, asked for and waited for by a flow run."""
