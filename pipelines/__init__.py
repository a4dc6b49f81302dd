"""What runs the graph of dvc.yaml under Prefect."""

from plumbline import telemetry

telemetry.turn_off()  # before Prefect is imported: it looks on import
