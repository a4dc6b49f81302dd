"""Every published figure, measured beside its peer in the same run.

`python -m benchmarks` (or `make bench`) runs all modules and writes `docs/benchmarks.md` and
`benchmarks/results.json`; `python -m benchmarks graph throughput` runs some and keeps the rest.
A module has `run() -> Result`.
"""

import os

# as the command line does: OpenMP's threads do not spin; read when torch is imported
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
