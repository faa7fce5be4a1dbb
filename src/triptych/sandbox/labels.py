"""The labels by which containers of a broker's are known; the value of the first two says which broker's."""

HANDS = "triptych.hands"
BRAIN = "triptych.brain"
"""The work pool's template sets it, beyond a deployment's reach."""
FLOW_RUN = "io.prefect.flow-run-id"
"""By which Prefect's Docker worker says which run a brain's container is."""
