"""No part of a password is ever shown, however the address is written."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from tests.unit.report.sample import config

from plumbline.address import has_password, hidden, is_whole, shown
from plumbline.config.load import parse_config
from plumbline.config.model import TuneConfig
from plumbline.errors import ParameterError, StorageError, UserError
from plumbline.store import tracking
from plumbline.training.search import search

# a mark that no message holds of itself, in pieces between characters that mean something in URLs
MARKS = st.sampled_from("@/:?#[]%\\ '\"&=+;,.é\t")
PIECES = ("Zqx7", "Wvk9", "Jyf3")
PASSWORDS = st.tuples(MARKS, MARKS, st.booleans()).map(
    lambda t: f"{PIECES[0]}{t[0]}{PIECES[1]}{t[1]}{PIECES[2]}"
)
SCHEMES = st.sampled_from(["http", "https", "postgresql", "mysql+pymysql", "mssql"])
HOSTS = st.sampled_from(["127.0.0.1:9", "[::1]:9", "127.0.0.1", ""])


def clean(text: str) -> bool:
    return not re.search("|".join(PIECES), text)


@st.composite
def addresses(draw: st.DrawFn) -> str:
    password = draw(PASSWORDS)
    if draw(st.booleans()):
        password = quote(password, safe="")
    where = draw(HOSTS)
    return f"{draw(SCHEMES)}://someone:{password}@{where}{draw(st.sampled_from(['', '/db']))}"


@given(address=addresses())
@example("http://Zqx7:Wvk9@Jyf3@127.0.0.1:9")
def test_an_address_is_shown_without_what_opens_it(address: str) -> None:
    assert clean(shown(address)) and clean(shown(f"cannot open '{address}': refused"))
    assert clean(str(UserError("wrong", got=address, file=address)))
    assert has_password(address)


@given(address=addresses(), cut=st.integers(4, 40))
def test_a_message_that_repeats_a_part_is_not_shown(address: str, cut: int) -> None:
    start = address.index("Zqx7")
    assert clean(hidden(f"nonnumeric port: {address[start : start + cut]!r}", address))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(address=addresses())
def test_a_store_that_cannot_be_had_is_one_message_without_the_password(
    tmp_path: Path, address: str
) -> None:
    assume(address.startswith(("http", "postgresql")))  # drivers that are here
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        patch.setattr(tracking, "PROBE_SECONDS", 1)
        with pytest.raises(StorageError) as refused:
            tracking.open_store(tmp_path)
    assert clean(str(refused.value))
    assert "MLFLOW_TRACKING_URI" in str(refused.value)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(address=addresses())
def test_a_tuning_storage_never_shows_its_password(tmp_path: Path, address: str) -> None:
    with pytest.raises(ParameterError) as refused:
        parse_config({"seed": 0, "data": DATA, "tune": {"storage": address, "space": SPACE}})
    assert clean(str(refused.value)) and "tune.storage" in str(refused.value)
    if address.startswith("http"):
        return
    with pytest.raises(StorageError) as failed:
        search(
            lambda values, report: [0.0],
            TuneConfig(),
            key="k",
            folder=tmp_path,
            storage=address,
            seed=0,
            greater_is_better=True,
            sizes=lambda values: {},
        )
    assert clean(str(failed.value)) and "tune.storage" in str(failed.value)


@pytest.mark.parametrize(
    "address",
    [
        "sqlite:////home/me@work/mlflow/mlflow.db",
        "https://mlflow.example.org/base",
        "postgresql://db.example.org:5432/name?sslmode=require",
        "postgresql+psycopg2://someone@[::1]:5432/name",
        "mlruns",
    ],
)
def test_what_holds_no_secret_is_left_as_it_is(address: str) -> None:
    if "someone" not in address:
        assert shown(address) == address
    assert is_whole(address) and not has_password(address)


DATA = {"name": "sample", "path": "data/sample.csv", "target": "y", "task": "regression"}
SPACE = {
    key: {"type": "float", "low": 1e-4, "high": 1e-2}
    for key in ("train.learning_rate", "train.weight_decay")
}


def test_a_storage_without_password_is_a_parameter() -> None:
    made = config().replace({"tune.storage": "postgresql://someone@db.example.org/name"})
    assert made.tune.storage == "postgresql://someone@db.example.org/name"
