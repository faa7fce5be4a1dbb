"""A small result of the benchmark, for tests: round figures, so that what follows can be worked out by hand."""

from __future__ import annotations

from triptych.advice import Measures, parse_measures

HEAD = "arm,workload,plan,measure,unit,better,value,low,high,n,part,of\n"
ROWS = """\
while_loop,retail,kills,silent_failures_per_100_faults,runs,lower,30,25,35,40,6,20
while_loop,retail,kills,runs_done_rate,%,higher,90,85,95,40,36,40
while_loop,retail,kills,state_persistence_rate,%,higher,62,58,66,40,,
while_loop,retail,kills,tool_call_success_rate,%,higher,74,70,78,40,,
while_loop,retail,none,cost_per_10k_runs,USD,lower,14.2,14,14.4,40,,
while_loop,retail,none,peak_memory,MiB,lower,80,79,81,5,,
monolith,retail,none,peak_memory,MiB,lower,160,150,170,5,,
layered,retail,kills,silent_failures_per_100_faults,runs,lower,0,0,1,40,0,20
layered,retail,kills,runs_done_rate,%,higher,100,100,100,40,40,40
layered,retail,kills,state_persistence_rate,%,higher,99.8,99,100,40,,
layered,retail,none,cost_per_10k_runs,USD,lower,19.8,19,20,40,,
layered,retail,none,peak_memory,MiB,lower,900,880,920,5,,
layered,retail,deploy,deployment_overhead,minutes,lower,inf,2,inf,4,,
layered,steps-10,none,checkpoint_ms,ms,lower,15,14,16,5,,
layered,steps-50,none,checkpoint_ms,ms,lower,17,16,18,5,,
layered,retail,restart,approvals_asked_again,per 100 approvals,lower,,,,0,,
"""
KEYED = """\
while_loop_keyed,retail,kills,silent_failures_per_100_faults,runs,lower,0,0,1,40,0,20
while_loop_keyed,retail,kills,runs_done_rate,%,higher,100,100,100,40,40,40
while_loop_keyed,retail,none,cost_per_10k_runs,USD,lower,10,9,11,40,,
"""
"""A loop with keys that fails no more than ours and costs half of it."""
DBOS = """\
dbos,retail,kills,silent_failures_per_100_faults,runs,lower,0,0,1,40,0,20
dbos,retail,kills,runs_done_rate,%,higher,100,100,100,40,40,40
dbos,retail,none,cost_per_10k_runs,USD,lower,15,14,16,40,,
"""
"""Another runtime, of which the same is true, and which costs more than the bare loop."""


def result(rows: str = ROWS) -> Measures:
    return parse_measures(HEAD + rows, "measures.csv")
