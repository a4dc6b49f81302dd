"""Prefect's server makes the runs of a schedule with the versions of requirements.lock."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import asyncio
from prefect.server import models, schemas
from prefect.server.database import provide_database_interface
from prefect.server.services.scheduler import schedule_deployments

weekly = schemas.core.DeploymentSchedule(
    schedule=schemas.schedules.CronSchedule(cron="0 3 * * 1"), active=True
)

async def main():
    database = provide_database_interface()
    await database.create_db()
    async with database.session_context(begin_transaction=True) as session:
        flow = await models.flows.create_flow(session, schemas.core.Flow(name="training"))
        made = schemas.core.Deployment(name="weekly", flow_id=flow.id, schedules=[weekly])
        await models.deployments.create_deployment(session, made)
    await schedule_deployments()
    async with database.session_context() as session:
        print(len(await models.flow_runs.read_flow_runs(session)))

asyncio.run(main())
"""


def test_the_server_makes_the_runs_of_a_schedule(tmp_path: Path) -> None:
    variables = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")},
        "PREFECT_HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) >= 3
