"""The toolsets of our agents: thin wrappers that name, describe and type what the order desk can do."""
