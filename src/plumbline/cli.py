"""The command line: `plumbline init`, `plumbline repro`, `plumbline STAGE`. An error is one
message and an exit code."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from plumbline import outcome, telemetry
from plumbline.commands.reading import add_reading
from plumbline.config import Paths, load_config
from plumbline.config.presets import PRESETS
from plumbline.errors import PlumblineError, PlumblineWarning, StorageError
from plumbline.kinds import TASKS, Task
from plumbline.machine import refusal_behind
from plumbline.outcome import Outcome
from plumbline.results import summary
from plumbline.stages import ABOUT, Report, print_report
from plumbline.stopped import forget_stopped
from plumbline.training.launched import is_launched

COMMANDS = {
    "preview": "show how a file would be read; change nothing",
    "init": "use your own table: infer its columns, write expectations.yaml",
    "repro": "run every stage whose inputs changed, then show the results",
    "show": "the results of the last run, and where to look",
    "ingest": "check new rows and append them to the data",
    "predict": "a prediction for every row of a file, by a registered model",
    "serve": "answer requests over HTTP by the champion, or another model",
    "monitor": "compare what was served with what the model was fitted to",
    "retrain": "append labeled rows of the service's log, then run the graph",
    "versions": "every registered version, and who made which one champion",
    "promote": "make a version the champion; who and why are kept",
    "rollback": "make the former champion the champion again",
    "reproduce": "rebuild a registered version, and say whether it is the same",
    "doctor": "what is wrong with this machine or checkout, and the fix",
}
EXAMPLES = {
    "preview": "plumbline preview customers.xlsx --sheet 2024 --output customers.csv",
    "init": "plumbline init --data customers.csv --target churned",
    "repro": "plumbline repro\n  plumbline repro train    # this stage and what it needs",
    "show": "plumbline show",
    "ingest": "plumbline ingest rows_of_may.csv",
    "predict": "plumbline predict customers_of_june.csv --output predictions.csv\n"
    "  plumbline predict new/ --output new.parquet --model models:/customers/3",
    "serve": "plumbline serve\n  plumbline serve --model models:/customers/3 --port 8001",
    "monitor": "plumbline monitor\n  plumbline monitor --model models:/customers/3",
    "retrain": "plumbline retrain",
    "versions": "plumbline versions",
    "promote": 'plumbline promote 3 --reason "fewer false alarms in May"\n'
    '  plumbline promote @challenger --reason "checked by hand"',
    "rollback": 'plumbline rollback --reason "wrong prices since Monday"',
    "reproduce": "plumbline reproduce customers@champion\n  plumbline reproduce customers/3",
    "doctor": "plumbline doctor",
}
CODES = """exit codes:
  0  done
  1  a defect of plumbline (with a traceback)
  2  something for you to fix; the message names the file, the key and the fix
  3  a gate stopped the run (validation, leakage, parity, require_clean,
     or the server does not answer with a version), a rebuild is not the
     same, or the monitor's rule fires; it names the report"""

FILES = (
    "CSV, TSV, JSON lines (also .gz, .zst), Excel, a Parquet file or folder, or a folder of images "
    "(CLASS/*, or train/CLASS/* and test/CLASS/*)"
)
MODEL = (
    "models:/NAME@ALIAS, models:/NAME/VERSION, or a folder with a version's files "
    "(else the champion of the data that params.yaml names)"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code (see `plumbline.errors`)."""
    telemetry.turn_off()
    parser = _parser()
    arguments = parser.parse_args(argv)
    if "function" not in arguments:
        parser.print_help(sys.stderr)
        return 2
    _only_our_warnings()
    name = arguments.command
    # neither processes of a training, nor the server that `register` asks, end for their stage
    watched = not is_launched() and name != "serve"
    if watched:
        outcome.begin(name)
    try:
        ended = _guard(arguments)
    except Exception as error:  # a defect of ours: Python shows the traceback and leaves with 1
        ended = Outcome(stage=name, code=1, message=f"{type(error).__name__}: {error}")
        raise
    finally:
        if watched:
            outcome.leave_outcome(ended)
    if ended.message:
        print(f"plumbline: {ended.message}", file=sys.stderr)
    return ended.code


def _guard(arguments: argparse.Namespace) -> Outcome:
    """How a command ended, and what to say; a defect of ours goes through."""
    name = arguments.command
    try:
        return Outcome(stage=name, code=arguments.function(arguments) or 0)
    except PlumblineError as error:
        return _refused(name, error)
    except KeyboardInterrupt:
        return Outcome(stage=name, code=130, message="interrupted; previous outputs are intact")
    except SystemExit as error:  # SIGTERM, where a command ends what it has started
        code = error.code if isinstance(error.code, int) else 1
        return Outcome(stage=name, code=code, message="ended; previous outputs are intact")
    except BrokenPipeError:  # whoever read the output (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Outcome(stage=name, code=0)
    except Exception as error:
        refusal = refusal_behind(error)
        if refusal is None:
            raise
        return _refused(name, refusal)


def _refused(name: str, error: PlumblineError) -> Outcome:
    storage = isinstance(error, StorageError)
    return Outcome(stage=name, code=error.exit_code, message=str(error), storage=storage)


def _only_our_warnings() -> None:
    """Libraries' warnings mean nothing to a user; ours are one line, from one process of many."""
    warnings.filterwarnings("ignore")
    if not is_launched() or os.environ["RANK"] == "0":
        warnings.filterwarnings("default", category=PlumblineWarning)
    warnings.showwarning = _show_warning


def _show_warning(message: Warning | str, *_rest: Any, **_more: Any) -> None:
    print(f"plumbline: warning: {message}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, (*COMMANDS, *ABOUT))) + 2
    listed = {
        "start here:": COMMANDS,
        "stages of dvc.yaml, in order; each is a command too:": ABOUT,
    }
    text = "\n\n".join(
        "\n".join([title, *(f"  {name:<{width}}{about}" for name, about in commands.items())])
        for title, commands in listed.items()
    )
    parser = argparse.ArgumentParser(
        prog="plumbline",
        usage="plumbline COMMAND [options]",
        description="Turns a table into a tested, explained and registered deep model.",
        epilog=f"{text}\n\nexample, from the root of the checkout:\n  {EXAMPLES['init']}\n"
        f"  plumbline repro\n\n`plumbline COMMAND --help` explains a command.\n\n{CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"plumbline {version('plumbline')}")
    commands = parser.add_subparsers(
        prog="plumbline", dest="command", metavar="COMMAND", help=argparse.SUPPRESS
    )
    _add_init(commands)
    _add_repro(commands)
    _add_command(commands, "show", _show)
    _add_ingest(commands)
    _add_predict(commands)
    _add_serve(commands)
    _add_command(commands, "monitor", _monitor).add_argument("--model", help=MODEL)
    _add_retrain(commands)
    _add_preview(commands)
    _add_command(commands, "versions", _versions)
    _add_moves(commands)
    _add_reproduce(commands)
    _add_command(commands, "doctor", _doctor)
    for name, about in ABOUT.items():
        stage = commands.add_parser(
            name,
            description=f"Run one stage: {about}.",
            epilog=f"examples:\n  plumbline {name}\n"
            f"  plumbline repro {name}    # with the stages it needs\n\n"
            f"Its parameters are in the section '{name}' of params.yaml.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        stage.set_defaults(function=_stage, stage=name)
    return parser


def _add_command(commands: Any, name: str, function: Any) -> argparse.ArgumentParser:
    """A command that is no stage, with its description and example."""
    about = COMMANDS[name]
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=f"example:\n  {EXAMPLES[name]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(function=function)
    return command


def _add_repro(commands: Any) -> None:
    repro = _add_command(commands, "repro", _repro)
    repro.add_argument(
        "stages", nargs="*", metavar="STAGE", help="these and what they need; all if left out"
    )
    repro.add_argument("--force", action="store_true", help="run them even if nothing changed")


def _add_init(commands: Any) -> None:
    init = _add_command(commands, "init", _init)
    init.add_argument("--data", type=Path, help=FILES)
    init.add_argument("--target", help="the column to predict; of a folder of images, label")
    init.add_argument("--test", type=Path, help="a held-out file, used as the test part whole")
    init.add_argument("--task", type=Task, choices=list(TASKS), help="inferred if left out")
    init.add_argument("--positive", help="the class that counts as positive")
    init.add_argument("--time", help="column that orders the rows; they are split by time")
    init.add_argument("--group", help="column whose rows must stay on one side")
    init.add_argument("--id", help="column that only names the row")
    init.add_argument("--name", help="name of the data set and of the registered model")
    add_reading(init)
    init.add_argument(
        "--missing",
        nargs="*",
        metavar="WORD",
        help="the words for a missing cell, beside an empty one (else NA NaN nan null ?)",
    )
    init.add_argument(
        "--preset",
        choices=list(PRESETS),
        help="how much time the model is given; without --data the data stay as they are",
    )
    init.add_argument(
        "--update", action="store_true", help="propose changes to expectations.yaml, write none"
    )


def _add_ingest(commands: Any) -> None:
    ingest = _add_command(commands, "ingest", _ingest)
    ingest.add_argument("file", type=Path, help=FILES)
    add_reading(ingest)
    ingest.add_argument(
        "--quarantine", action="store_true", help="put bad rows aside and append the others"
    )
    ingest.add_argument(
        "--again", action="store_true", help="append rows that the data already hold"
    )


def _add_predict(commands: Any) -> None:
    predict = _add_command(commands, "predict", _predict)
    predict.add_argument(
        "input", type=Path, help="CSV, JSON lines, Excel, Parquet, images; a folder"
    )
    predict.add_argument("--output", type=Path, required=True, help="a .parquet or .csv file")
    predict.add_argument("--model", help=MODEL)
    predict.add_argument(
        "--ignore-extra", action="store_true", help="columns that the training data had not"
    )
    add_reading(predict)


def _add_serve(commands: Any) -> None:
    serve = _add_command(commands, "serve", _serve)
    serve.add_argument("--model", help=MODEL)
    serve.add_argument("--host", help="address to listen on (else serve.host of params.yaml)")
    serve.add_argument(
        "--port", type=int, help="port (else serve.port of params.yaml); 0: a free one"
    )
    serve.add_argument(
        "--without-token",
        action="store_true",
        help="let other machines ask though PLUMBLINE_SERVE_TOKEN is not set",
    )


def _add_preview(commands: Any) -> None:
    preview = _add_command(commands, "preview", _preview)
    preview.add_argument("file", type=Path, help=FILES)
    preview.add_argument("--target", help="the column to predict, which tells the header")
    preview.add_argument("--rows", type=int, default=5, help="rows shown")
    preview.add_argument("--output", type=Path, help="write the table there, as .csv or .parquet")
    add_reading(preview)


def _add_moves(commands: Any) -> None:
    promote = _add_command(commands, "promote", _promote)
    promote.add_argument("version", metavar="VERSION", help="its number, or @ALIAS")
    rollback = _add_command(commands, "rollback", _rollback)
    for command in (promote, rollback):
        command.add_argument("--reason", required=True, metavar="TEXT", help="kept for good")


def _versions(_arguments: argparse.Namespace) -> None:
    from plumbline.commands.versions import versions

    print(versions(Paths(Path.cwd()), shutil.get_terminal_size().columns))


def _promote(arguments: argparse.Namespace) -> None:
    from plumbline.commands.promote import promote

    begun = time.perf_counter()
    report = promote(arguments.version, arguments.reason, Paths(Path.cwd()))
    print_report("promote", report, time.perf_counter() - begun)


def _rollback(arguments: argparse.Namespace) -> None:
    from plumbline.commands.promote import rollback

    begun = time.perf_counter()
    report = rollback(arguments.reason, Paths(Path.cwd()))
    print_report("rollback", report, time.perf_counter() - begun)


def _add_reproduce(commands: Any) -> None:
    reproduce = _add_command(commands, "reproduce", _reproduce)
    reproduce.add_argument(
        "version", nargs="?", metavar="NAME@ALIAS|NAME/N", help="the champion if left out"
    )
    reproduce.add_argument(
        "--commit", help="rebuild this commit, with its data, in place of the version's own"
    )


def _reproduce(arguments: argparse.Namespace) -> None:
    from plumbline.commands.reproduce import refuse_difference, reproduce

    begun = time.perf_counter()
    paths = Paths(Path.cwd())
    report = reproduce(arguments.version, paths, commit=arguments.commit)
    print_report("reproduce", report, time.perf_counter() - begun)
    refuse_difference(paths, report)


def _doctor(_arguments: argparse.Namespace) -> int:
    from plumbline.commands.doctor import doctor

    text, wrong = doctor(Paths(Path.cwd()), shutil.get_terminal_size().columns)
    print(text)
    return 2 if wrong else 0


def _preview(arguments: argparse.Namespace) -> None:
    from plumbline.commands.preview import preview
    from plumbline.data.options import ReadingOptions

    begun = time.perf_counter()
    report = preview(
        arguments.file,
        ReadingOptions.of(vars(arguments)),
        target=arguments.target,
        rows=arguments.rows,
        output=arguments.output,
    )
    print_report("preview", report, time.perf_counter() - begun)


def _ingest(arguments: argparse.Namespace) -> None:
    from plumbline.commands.data_lock import replacing_data
    from plumbline.commands.ingest import ingest
    from plumbline.commands.quarantine import ASIDE, STOP
    from plumbline.data.options import ReadingOptions

    begun = time.perf_counter()
    paths = Paths(Path.cwd())
    with replacing_data(paths, "'plumbline ingest'"):
        report = ingest(
            arguments.file,
            paths,
            quarantine=ASIDE if arguments.quarantine else STOP,
            again=arguments.again,
            reading=ReadingOptions.of(vars(arguments)),
        )
    print_report("ingest", report, time.perf_counter() - begun)


def _predict(arguments: argparse.Namespace) -> None:
    from plumbline.commands.predict import predict
    from plumbline.data.options import ReadingOptions

    begun = time.perf_counter()
    report = predict(
        arguments.input,
        arguments.output,
        Paths(Path.cwd()),
        model=arguments.model,
        extra="ignore" if arguments.ignore_extra else "refuse",
        reading=ReadingOptions.of(vars(arguments)),
    )
    print_report("predict", report, time.perf_counter() - begun)


def _serve(arguments: argparse.Namespace) -> None:
    from plumbline.commands.serve import serve

    serve(
        Paths(Path.cwd()),
        model=arguments.model,
        host=arguments.host,
        port=arguments.port,
        without_token=arguments.without_token,
    )


def _add_retrain(commands: Any) -> None:
    retrain = _add_command(commands, "retrain", _retrain)
    retrain.add_argument("--now", action="store_true", help="whatever the cool-down says")
    retrain.add_argument(
        "--rows-only", action="store_true", help="append the rows and run nothing (for the flow)"
    )
    retrain.add_argument(
        "--from-champion",
        action="store_true",
        help="fit only the second version, which retrain.warm adds (for the flow)",
    )


def _retrain(arguments: argparse.Namespace) -> int:
    from plumbline.commands.retrain import append_labeled, run_graph

    begun = time.perf_counter()
    paths = Paths(Path.cwd())
    if arguments.from_champion:
        return _fit_from_champion(paths)
    appended = append_labeled(paths, now=arguments.now)
    rows = [("labeled rows", appended.why), *(appended.report.rows if appended.report else ())]
    if appended.pushed is not None:
        rows.append(("pushed", appended.pushed))
    print_report("retrain", Report(rows=rows), time.perf_counter() - begun)
    if arguments.rows_only or not appended.due:
        return 0
    code = run_graph(paths)
    if code:
        print("retraining failed: the champion is as it was, and goes on serving", file=sys.stderr)
        return code
    return _fit_from_champion(paths) if load_config(paths.params).retrain.warm else 0


def _fit_from_champion(paths: Paths) -> int:
    from plumbline.commands.warm import fit_from_champion

    begun = time.perf_counter()
    code, report = fit_from_champion(paths)
    print_report("retrain from the champion", report, time.perf_counter() - begun)
    return code


def _monitor(arguments: argparse.Namespace) -> None:
    from plumbline.commands.monitor import monitor, refuse_firing

    begun = time.perf_counter()
    monitored = monitor(Paths(Path.cwd()), model=arguments.model)
    print_report("monitor", monitored.report, time.perf_counter() - begun)
    refuse_firing(monitored)


def _init(arguments: argparse.Namespace) -> None:
    from plumbline.commands import init
    from plumbline.commands.data_lock import replacing_data

    begun = time.perf_counter()
    paths = Paths(Path.cwd())
    if arguments.update:
        report = init.update(paths)
    elif arguments.preset and not arguments.data:
        report = init.set_preset(paths, arguments.preset)
    else:
        request = init.request_of(arguments)
        with replacing_data(paths, "'plumbline init'"):
            report = init.init(request, paths)
    print_report("init", report, time.perf_counter() - begun)


def _stage(arguments: argparse.Namespace) -> None:
    from plumbline.commands.stage import run_stage

    run_stage(arguments.stage)


def _repro(arguments: argparse.Namespace) -> int:
    from plumbline.commands.repro import repro

    code = repro(Path.cwd(), arguments.stages, force=arguments.force)
    if code == 0 and not arguments.stages:
        forget_stopped(Paths(Path.cwd()).state)
    return code


def _show(_arguments: argparse.Namespace) -> None:
    print(summary(Path.cwd()))
