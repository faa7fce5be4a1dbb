"""Everything outside an arm, in one process: the model's provider and the shop, which write the ledger and do faults.

`python -m benchmarks.world.server` starts it. What it says about an arm it has seen on its own sockets: an arm cannot
write to the ledger, and is not asked what it did.
"""
