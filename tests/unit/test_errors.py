from pathlib import Path

import pytest

from plumbline.errors import (
    DataError,
    GateError,
    ParameterError,
    PlumblineError,
    StorageError,
    UserError,
    choose,
    nearest,
    shorten,
)


def test_message_names_place_wish_and_mend() -> None:
    error = DataError(
        "no such column",
        file=Path("data/a.csv"),
        where="column 'age'",
        wanted="a number",
        got="x\n",
        hint="rename it",
    )
    assert str(error) == (
        "data/a.csv: column 'age': no such column (wanted a number, got 'x\\n'). Rename it."
    )


@pytest.mark.parametrize("error", [UserError, ParameterError, DataError, StorageError])
def test_the_users_mistakes_leave_with_two(error: type[UserError]) -> None:
    assert error("x").exit_code == 2
    assert issubclass(error, ValueError)


def test_gates_leave_with_three_and_name_the_report() -> None:
    error = GateError("Validation failed.", report="reports/validation/index.html")
    assert error.exit_code == 3
    assert "reports/validation/index.html" in str(error)
    assert PlumblineError.exit_code == 1


def test_choose_names_the_nearest() -> None:
    assert choose({"adam": 1}, "adam", "train.optimizer") == 1
    with pytest.raises(
        ParameterError, match=r"train\.optimizer.*did you mean 'adam'\?$|Did you mean 'adam'\?$"
    ):
        choose({"adam": 1, "sgd": 2}, "adan", "train.optimizer")


def test_nearest_lists_all_when_nothing_is_near() -> None:
    assert nearest("zzz", ["b", "a"]) == "valid names: a, b"


def test_long_values_are_cut_and_control_characters_escaped() -> None:
    assert len(shorten("x" * 1000)) == 120
    assert shorten("a\x00b") == "'a\\x00b'"
