"""The container stack, without Docker: well-formed, pinned, and naming only what exists."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from pipelines.dev_servers import COMMANDS
from prometheus_client.parser import text_string_to_metric_families

from plumbline import cli
from plumbline.config.ports import PORTS, POSTGRES_PORT
from plumbline.serving.measures import Measures

SERVICE_KEYS = {
    *("image", "build", "restart", "command", "environment", "ports", "volumes"),
    *("depends_on", "healthcheck", "configs", "secrets", "profiles"),
}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
VARIABLE = re.compile(r"\$\{(\w+)(:[-?])?([^}]*)\}")
SECRETS = (
    *("POSTGRES_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    *("PLUMBLINE_SERVE_TOKEN", "GRAFANA_PASSWORD"),
)
PINNED = re.compile(r"[\w./-]+:v?\d+(\.\d+)+[\w.-]*")
INSTRUCTIONS = {
    *("FROM", "ARG", "RUN", "WORKDIR", "COPY", "USER", "ENV", "CMD"),
}


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "infra" / "compose.yaml").read_text()


@pytest.fixture(scope="module")
def compose(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    result: dict[str, dict[str, Any]] = compose["services"]
    return result


@pytest.fixture(scope="module")
def example(root: Path) -> dict[str, str]:
    lines = (root / "infra" / ".env.example").read_text().splitlines()
    settings = (line for line in lines if line and not line.startswith("#"))
    return {name: setting for name, _, setting in (line.partition("=") for line in settings)}


def value(text: str, example: dict[str, str]) -> str:
    """Text with its variables replaced, as compose would with .env.example filled in."""

    def replace(result: re.Match[str]) -> str:
        name, mark, default = result.groups()
        return example.get(name) or (default if mark == ":-" else f"x{name}")

    return VARIABLE.sub(replace, text)


def test_only_known_keys(compose: dict[str, Any], services: dict[str, dict[str, Any]]) -> None:
    known = {"name", "services", "configs", "volumes", "networks", "secrets"}
    assert {key for key in compose if not key.startswith("x-")} <= known
    assert set(services) == {
        *("postgres", "objects", "mlflow", "prefect", "worker"),
        *("serve", "prometheus", "grafana"),
    }
    for name, service in services.items():
        assert set(service) <= SERVICE_KEYS, name
        assert all(isinstance(part, str) for part in service.get("command", [])), name
        assert all(isinstance(v, str) for v in service["environment"].values()), name


def test_images_are_pinned_and_ours_is_built(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        if "build" in service:
            assert service["image"].startswith("plumbline:")
        else:
            assert PINNED.fullmatch(service["image"]), f"{name}: {service['image']}"


def test_build_paths_and_arguments_exist(root: Path, services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        if build := service.get("build"):
            context = (root / "infra" / build["context"]).resolve()
            assert context == root
            file = context / build["dockerfile"]
            declared = set(re.findall(r"^ARG (\w+)", file.read_text(), re.MULTILINE))
            assert set(build["args"]) == declared


def test_what_is_waited_for_exists_and_can_be_healthy(
    services: dict[str, dict[str, Any]],
) -> None:
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, name
            assert how["condition"] in CONDITIONS
            if how["condition"] == "service_healthy":
                test = services[other]["healthcheck"]["test"]
                assert test[0] in ("CMD", "CMD-SHELL") and len(test) > 1


def test_volumes_and_configs_are_declared(
    root: Path, compose: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    used_volumes, used_configs, used_secrets = set(), set(), set()
    for service in services.values():
        for volume in service.get("volumes", []):
            source, target = value(volume, {}).rsplit(":", 1)
            assert target.startswith("/")
            if source.startswith("."):
                assert (root / "infra" / source).resolve().exists()
            else:
                used_volumes.add(source)
        used_configs |= {config["source"] for config in service.get("configs", [])}
        used_secrets |= {secret["source"] for secret in service.get("secrets", [])}
    assert used_secrets == set(compose["secrets"])
    for config in compose["configs"].values():
        assert "content" in config or (root / "infra" / config["file"]).is_file()
    assert used_volumes == set(compose["volumes"])
    assert used_configs == set(compose["configs"])


def test_ports_are_on_loopback(
    services: dict[str, dict[str, Any]], example: dict[str, str]
) -> None:
    published = []
    for service in services.values():
        for port in service.get("ports", []):
            address, outside, inside = value(port, example).rsplit(":", 2)
            assert address == "127.0.0.1"
            assert inside.isdecimal()
            published.append(outside)
    assert len(published) == len(set(published)) == 6


def test_variables_are_in_the_example_and_secrets_are_required(
    text: str, example: dict[str, str], root: Path
) -> None:
    result = VARIABLE.findall(text)
    assert {name for name, _, _ in result} == set(example)
    for name, mark, _ in result:
        assert mark == (":?" if name in SECRETS else ":-"), name
    for name in SECRETS:
        assert example[name] == "", f"{name} has a value in .env.example"
    assert "/infra/.env\n" in (root / ".gitignore").read_text()
    defaults = {(name, default) for name, mark, default in result if mark == ":-"}
    assert defaults == {(name, example[name]) for name in example if name not in SECRETS}


def test_the_same_names_as_the_local_run(example: dict[str, str]) -> None:
    for name, port in PORTS.items():
        if name != POSTGRES_PORT:  # published to no one
            assert example[name] == str(port)


def test_addresses_name_services_and_their_ports(services: dict[str, dict[str, Any]]) -> None:
    listens = {"postgres": 5432}
    for name, service in services.items():
        for port in service.get("ports", []):
            listens[name] = int(port.rsplit(":", 1)[1])
    for name, service in services.items():
        for key, raw in service["environment"].items():
            address = value(raw, {})
            if "://" not in address or address.startswith("s3://"):
                continue
            host, port = urlsplit(address).hostname, urlsplit(address).port
            if host == "127.0.0.1":
                continue
            assert host in listens and listens[host] == port, f"{name}: {key}"
            assert host == name or host in service["depends_on"] or _through(services, name, host)


def _through(services: dict[str, dict[str, Any]], name: str, wanted: str) -> bool:
    """Whether a service is waited for by one that is waited for."""
    return any(
        wanted in services[other].get("depends_on", {}) for other in services[name]["depends_on"]
    )


# of mlflow's and prefect's own imports
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_settings_exist_in_the_programs_that_read_them(
    services: dict[str, dict[str, Any]],
) -> None:
    import mlflow.cli
    import mlflow.environment_variables
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_valid_setting_names

    server = mlflow.cli.cli.commands["server"]
    known = {option.envvar for option in server.params} | set(dir(mlflow.environment_variables))
    known |= _get_valid_setting_names(Settings)
    for name, service in services.items():
        for key in service["environment"]:
            if key.startswith(("MLFLOW_", "PREFECT_")):
                assert key in known, f"{name}: {key}"
    command = services["mlflow"]["command"]
    options = {option for parameter in server.params for option in parameter.opts}
    assert command[:2] == ["mlflow", "server"]
    assert {part for part in command if part.startswith("--")} <= options
    assert services["prefect"]["command"][:3] == ["prefect", "server", "start"]


def test_the_worker_runs_what_is_there(
    root: Path, services: dict[str, dict[str, Any]], compose: dict[str, Any]
) -> None:
    python, flag, module, command = services["worker"]["command"]
    assert (python, flag) == ("python", "-m")
    assert (root / f"{module.replace('.', '/')}.py").is_file()
    assert command in COMMANDS
    (mounted,) = services["worker"]["volumes"]
    target = mounted.rsplit(":", 1)[1]
    assert services["worker"]["environment"]["PYTHONPATH"] == f"{target}/src"
    assert f"WORKDIR {target}\n" in (root / "infra" / "Dockerfile").read_text()


def test_databases_are_made_and_waited_for(
    compose: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    made = re.findall(r"CREATE DATABASE (\w+);", compose["configs"]["databases"]["content"])
    made.append(services["postgres"]["environment"]["POSTGRES_DB"])
    urls = [
        value(raw, {})
        for service in services.values()
        for raw in service["environment"].values()
        if raw.startswith("postgresql")
    ]
    assert sorted(urlsplit(url).path.strip("/") for url in urls) == sorted(made)
    # without a driver's name SQLAlchemy takes psycopg, which is not in the lock
    assert {urlsplit(url).scheme for url in urls} == {
        "postgresql+psycopg2",
        "postgresql+asyncpg",
    }
    # the server accepts connections before the script has run: wait for what it makes last
    assert services["postgres"]["healthcheck"]["test"][-1] in made[:-1]


def test_drivers_are_in_the_lock(root: Path) -> None:
    lock = (root / "requirements.lock").read_text()
    for package in ("psycopg2-binary", "asyncpg", "boto3", "dvc-s3", "uv"):
        assert re.search(rf"^{package}==", lock, re.MULTILINE), package


def instructions(root: Path) -> list[tuple[str, str]]:
    """(instruction, rest) of the Dockerfile; continued lines joined."""
    joined = (root / "infra" / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines()]
    pairs = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    return [(name, rest) for name, rest in pairs]


def test_the_dockerfile_is_well_formed(root: Path) -> None:
    result = instructions(root)
    assert result[0][0] == "FROM" and PINNED.fullmatch(result[0][1])
    for name, rest in result:
        assert name in INSTRUCTIONS, name
        if name == "COPY":
            *sources, _ = shlex.split(rest)
            for source in sources:
                assert (root / source).exists(), source
        elif name == "RUN":
            shlex.split(rest)  # quotes are balanced
        elif name == "CMD":
            assert isinstance(yaml.safe_load(rest), list)
    python = re.search(r"python:(\d+\.\d+)", result[0][1])
    assert python and f'requires-python = ">={python[1]}' in (root / "pyproject.toml").read_text()


def test_the_image_runs_as_nobody_special(root: Path) -> None:
    users = [rest for name, rest in instructions(root) if name == "USER"]
    assert users == ["plumbline"]
    after = [name for name, _ in instructions(root)]
    assert after.index("USER") > max(i for i, name in enumerate(after) if name == "RUN")


def test_both_builds_of_torch(root: Path, services: dict[str, dict[str, Any]]) -> None:
    (install,) = [rest for name, rest in instructions(root) if 'case "$ACCELERATOR"' in rest]
    assert "cpu) " in install and "--torch-backend=cpu" in install
    assert "cuda) " in install and "requirements-cuda.lock" in install
    assert "*) " in install and "exit 2" in install  # anything else is refused
    assert '"$torch" --requirements requirements.lock' in install


def test_only_what_is_copied_is_sent_to_the_builder(root: Path) -> None:
    kept = {
        line.removeprefix("!")
        for line in (root / "infra" / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        source
        for name, rest in instructions(root)
        if name == "COPY"
        for source in shlex.split(rest)[:-1]
    }
    assert kept == copied


def test_no_secret_in_git(text: str, root: Path) -> None:
    for content in (text, (root / "infra" / "Dockerfile").read_text()):
        assert not re.search(r"(?i)(password|secret|key)\w*[:=]\s*['\"]?[a-z0-9]{6,}", content)


def metrics() -> set[str]:
    """What /metrics of the service has, by name."""
    measures = Measures()
    measures.gauge("plumbline_queue_rows", "Rows that wait", lambda: 0.0)  # of the application
    families = text_string_to_metric_families(measures.page().decode())
    names = {}
    for family in families:
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        names[family.name] = [f"{family.name}{end}" for end in ends.get(family.type, [""])]
    every = {name for several in names.values() for name in several}
    return {name for name in every if not name.endswith("_created")}


def test_the_board_shows_what_the_service_measures(
    root: Path, compose: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    folder = root / "infra" / "grafana"
    board = json.loads((folder / "serving.json").read_text())
    (source,) = yaml.safe_load((folder / "source.yaml").read_text())["datasources"]
    known, shown, places = metrics(), set(), set()
    for panel in board["panels"]:
        assert panel["datasource"]["uid"] == source["uid"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        places.add((place["x"], place["y"]))
        for target in panel["targets"]:
            expression = target["expr"]
            assert all(expression.count(a) == expression.count(b) for a, b in ("()", "[]", "{}"))
            names = set(re.findall(r"\b(?:plumbline|process)_\w+", expression))
            assert names and names <= known, names - known
            shown |= names
    assert len(places) == len(board["panels"]) == len({p["id"] for p in board["panels"]})
    ours = {name for name in known if name.startswith("plumbline_")}
    without = {re.sub("_(bucket|sum|count|total)$", "", name) for name in ours - shown}
    assert without <= {re.sub("_(bucket|sum|count|total)$", "", name) for name in shown}
    (provider,) = yaml.safe_load((folder / "boards.yaml").read_text())["providers"]
    targets = [config["target"] for config in services["grafana"]["configs"]]
    assert any(target.startswith(provider["options"]["path"]) for target in targets)


def test_prometheus_asks_the_service_with_its_token(
    root: Path, services: dict[str, dict[str, Any]]
) -> None:
    text = (root / "infra" / "prometheus.yaml").read_text()
    (job,) = yaml.safe_load(text)["scrape_configs"]
    ((target,),) = [static["targets"] for static in job["static_configs"]]
    name, port = target.split(":")
    assert services[name]["ports"][0].endswith(f":{port}")
    (secret,) = services["prometheus"]["secrets"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret['target']}"
    assert "PLUMBLINE_SERVE_TOKEN" in services[name]["environment"]
    (source,) = yaml.safe_load((root / "infra" / "grafana" / "source.yaml").read_text())[
        "datasources"
    ]
    assert urlsplit(source["url"]).hostname in services["grafana"]["depends_on"]
    command, *options = services["serve"]["command"]
    assert command == "plumbline" and cli.COMMANDS[options[0]]
