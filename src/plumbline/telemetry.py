"""No usage statistics: what this project starts tells nobody outside that it was used."""

from __future__ import annotations

import os

# each library has its own switch; a value that the user has set is kept
OFF = {
    "DO_NOT_TRACK": "true",  # Prefect's client, Evidently, whatever asks iterative-telemetry
    "DVC_NO_ANALYTICS": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
}


def turn_off() -> None:
    """Set the switches for this process and what it starts. Must come before the imports of the
    libraries: some of them look on import."""
    for name, value in OFF.items():
        os.environ.setdefault(name, value)
