"""Where the servers of a checkout listen on loopback, by the variable that names another port."""

from __future__ import annotations

PREFECT_PORT = "PLUMBLINE_PREFECT_PORT"
MLFLOW_PORT = "PLUMBLINE_MLFLOW_PORT"
POSTGRES_PORT = "PLUMBLINE_POSTGRES_PORT"
OBJECTS_PORT = "PLUMBLINE_OBJECTS_PORT"
SERVE_PORT = "PLUMBLINE_SERVE_PORT"
PORTS = {
    PREFECT_PORT: 4200,
    MLFLOW_PORT: 5000,
    POSTGRES_PORT: 5433,
    OBJECTS_PORT: 8333,
    SERVE_PORT: 8000,
}
