"""Every published figure, measured beside its peer in the same run.

`python -m benchmarks` (or `make bench`) runs all modules and writes `docs/benchmarks.md` and
`benchmarks/results.json`; `python -m benchmarks graph throughput` runs some and keeps the rest.
A module has `run() -> Result`.
"""
