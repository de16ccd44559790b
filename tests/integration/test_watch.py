# SPDX-License-Identifier: Apache-2.0
"""The command ``airflow-import-progress watch`` against the sandbox."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from airflow_import_progress.cli import main
from airflow_import_progress.cli.arguments import parser
from airflow_import_progress.cli.bar import Bar, make_console
from airflow_import_progress.cli.kinds import KINDS
from airflow_import_progress.cli.watched import LogLine, Outcome, WatchedImport
from airflow_import_progress.progress import ImportProgress, ImportState
from tests.support.behaviors import BEHAVIORS, LIMITED_CONN_ID, Ending, import_id_of
from tests.support.sandbox_client import API_KEY
from tests.support.sensors import TaskInstance, a_dag, wait_to_the_end

EXIT_CODES = {Ending.PASSED: 0, Ending.FAILED: 1, Ending.TIMED_OUT: 2, Ending.NOT_FOUND_OUT: 2}
KIND_OF = {kind.sensor.partition(":")[2]: kind.name for kind in KINDS}
#: Each kind, as the sandbox calls it.
IMPORTED = {
    "lucca-leave": ("lucca", "leave"),
    "lucca-user-location": ("lucca", "user_location"),
    "rocketchat": ("rocketchat", "csv"),
    "zilliz": ("zilliz", "cloud"),
    "leadsy": ("leadsy", "lead"),
}
HOSTILE = "\x1b[31m[red]\x1b]0;owned\x07[/]\r\u202e"


@pytest.fixture
def watch(clock, sandbox, connect_to, monkeypatch):
    """Return a function that runs the command on a clock that does not wait, and gives what came of it."""
    for vendor in ("leadsy", "rocketchat", "zilliz"):
        connect_to(vendor)
    # The command sets it for its process.
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")

    def watch(*arguments):
        out = io.StringIO()
        exit_code = main.perform(parser().parse_args(["watch", *arguments]), out)
        lines = out.getvalue().splitlines()
        # Each line of text begins with the time.
        return SimpleNamespace(exit_code=exit_code, text=out.getvalue(), lines=[line[9:] for line in lines], out=lines)

    return watch


def arguments_of(behavior, import_id):
    """Return the arguments with which the import of a behavior is watched."""
    # The command has one name for the sensors' lucca_conn_id, zilliz_conn_id and so on.
    names = {name: "conn_id" if name.endswith("_conn_id") else name for name in behavior.arguments}
    options = [f"--{names[name].replace('_', '-')}={value}" for name, value in behavior.arguments.items()]
    return [KIND_OF[behavior.sensor_class.__name__], import_id, *options]


@pytest.mark.parametrize("name", BEHAVIORS)
def test_whatever_a_vendor_does_the_outcome_is_that_of_the_sensor_in_the_same_words(
    watch, sandbox, connect_to, clock, name
):
    connect_to("zilliz", extra={"api_version": "v2"})
    connect_to("lucca", LIMITED_CONN_ID)
    behavior, import_id = BEHAVIORS[name], import_id_of(name, "poke", "none")
    behavior.begin(sandbox, import_id)
    watched = watch("--json", "--timeout=7200", *arguments_of(behavior, import_id))
    *_, outcome = map(json.loads, watched.out)

    sandbox.reset()
    behavior.begin(sandbox, import_id)
    error = None
    with a_dag():
        sensor = behavior.sensor(import_id, "poke", "none", task_id="wait", poke_interval=10, timeout=7200)
    try:
        wait_to_the_end(sensor, "poke", clock, TaskInstance(clock))
    except Exception as raised:
        error = raised
    assert watched.exit_code == outcome["exit_code"] == EXIT_CODES[behavior.ending]
    assert outcome["error"] == (None if error is None else type(error).__name__)
    if error is not None:
        assert outcome["message"] == str(error)


@pytest.mark.parametrize("kind", IMPORTED)
@pytest.mark.parametrize(
    ("script", "fault", "exit_code"),
    [({"duration": 0}, None, 0), ({"points": [[0, 50], [0, -1]]}, None, 1), ({"duration": 0}, {"status": 401}, 2)],
    ids=["done", "failed", "refused"],
)
def test_each_kind_can_be_watched(watch, sandbox, kind, script, fault, exit_code):
    import_id = sandbox.create_import(*IMPORTED[kind], script)
    if fault:
        sandbox.add_fault(fault, times=None)
    watched = watch(kind, import_id)
    sandbox.clear_faults()
    assert watched.exit_code == exit_code
    assert watched.lines[-1].startswith(("done: ", "failed: ", "unknown: ")[exit_code])
    assert import_id in watched.lines[-1]


# What is written where there is no terminal


def test_lines_are_what_the_log_of_a_sensor_says(watch, leave_import):
    import_id = leave_import(3, 4, 57, 100)
    subject = f"Lucca leave import '{import_id}' (connection 'lucca_default')"
    first, *lines = watch("lucca-leave", import_id).lines
    assert re.fullmatch(rf"{re.escape(subject)}: until \d\d:\d\d:\d\d at the latest\.", first)
    assert lines == [
        "[--------------------] 3 % · running",
        "[###########---------] 57 % · running",
        "[####################] 100 % · succeeded",
        f"done: {subject}: 100 % · succeeded",
    ]


def test_a_failed_poll_is_told_with_why_and_when_it_is_asked_again(watch, sandbox, leave_import):
    import_id = leave_import(57, 100)
    sandbox.add_fault({"status": 503, "headers": {"Retry-After": "30"}}, import_id=import_id)
    _, failed, again, *_ = watch("lucca-leave", import_id).lines
    assert re.match(r"warning: Poll failed \(number 1 of at most 10 in a row\), next in 3[01] s\. .* HTTP 503", failed)
    assert again.endswith("polls get through again.")


def test_what_is_to_be_said_once_of_an_import_is_said(watch, sandbox):
    sandbox.create_import("rocketchat", "csv", {"duration": 0})
    watched = watch("rocketchat")
    assert watched.exit_code == 0
    assert "warning: last Rocket.Chat import (connection 'rocketchat_default'): no argument" in watched.lines[1]


def test_polls_come_closer_than_those_of_a_sensor(watch, sandbox, clock, leave_import):
    started = clock.now
    watch("lucca-leave", leave_import(*[57] * 5, 100))
    assert 5 * 8 <= clock.now - started <= 5 * 10


def test_poke_interval_and_timeout_are_those_of_the_sensor(watch, clock, leave_import):
    started = clock.now
    watched = watch("lucca-leave", leave_import(57), "--poke-interval", "100", "--timeout", "250")
    assert clock.now - started == pytest.approx(250)
    assert "not done within the timeout of 250 s" in watched.lines[-1]
    assert max(clock.slept) >= 80


# JSON


def test_json_has_a_line_for_each_change_and_one_for_the_outcome(watch, leave_import):
    import_id = leave_import(10, 10, 57, 57, 100)
    lines = [json.loads(line) for line in watch("--json", "lucca-leave", import_id).out]
    assert [line["event"] for line in lines] == ["progress", "progress", "progress", "outcome"]
    assert [line["progress"]["percent"] for line in lines] == [10, 57, 100, 100]
    assert {(line["vendor"], line["conn_id"], line["import_id"]) for line in lines} == {
        ("Lucca", "lucca_default", import_id)
    }
    assert set(lines[0]) == {"event", "at", "vendor", "conn_id", "import_id", "progress", "seconds_left"}
    assert lines[-1] == lines[-1] | {"outcome": "done", "exit_code": 0, "error": None}
    assert lines[0]["at"] == "2027-01-15T08:00:00+00:00"


def test_json_tells_of_failed_polls_and_warnings(watch, sandbox):
    sandbox.create_import("rocketchat", "csv", {"duration": 0})
    sandbox.add_fault({"status": 503}, vendor="rocketchat")
    warning, failed, progress, _ = (json.loads(line) for line in watch("rocketchat", "--json").out)
    assert (warning["event"], failed["event"], progress["event"]) == ("warning", "poll_failed", "progress")
    assert "no argument identifies the import" in warning["message"]
    assert "HTTP 503" in failed["error"]
    assert failed["failures"] == 1
    assert failed["at"] < failed["next_poll_at"] < "2027-01-15T08:00:06+00:00"


def test_json_does_not_count_polls_that_are_refused_as_too_many(watch, sandbox, leave_import):
    import_id = leave_import(100)
    sandbox.add_fault({"status": 503}, import_id=import_id)
    sandbox.add_fault({"status": 429}, import_id=import_id, times=12)
    *polls, _, _ = (json.loads(line) for line in watch("--json", "lucca-leave", import_id).out)
    assert [(poll["failures"], poll["rate_limited"]) for poll in polls] == [(1, False)] + [(1, True)] * 12


# What cannot be watched


def test_an_unknown_connection_is_told_with_how_to_give_one(watch, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_LUCCA_DEFAULT")
    watched = watch("lucca-leave", "x")
    assert watched.exit_code == 2
    assert "Airflow does not find this connection" in watched.lines[-1]
    for way in ("--conn-id", "airflow connections add lucca_default", "AIRFLOW_CONN_LUCCA_DEFAULT="):
        assert way in watched.lines[-1]


def test_a_connection_of_another_vendor_is_rate_limited(watch):
    watched = watch("lucca-leave", "x", "--conn-id", "zilliz_default")
    assert watched.exit_code == 2
    assert "The connection is of type 'zilliz', not 'lucca'" in watched.lines[-1]
    assert "airflow connections add" not in watched.lines[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lucca-leave", "None"], "summary_id is 'None', which is not an identifier"),
        (["lucca-leave", "{{ x }}"], "summary_id is a template that was not rendered"),
        (["lucca-user-location", "x", "--max-failed-records", "0"], "need check_results=True"),
        (["leadsy", "x", "--min-success-rate", "0.9"], "min_success_rate is a percentage"),
        (["leadsy", "x", "--status-map", '{"a": "b"}'], "status_map has 'b' for the status 'a'"),
        (["zilliz", "x", "--project-id", "p"], "project_id and region_id belong together"),
        (["rocketchat", "--started-after", "yesterday"], "started_after"),
        (["lucca-leave", "x", "--timeout", "nan"], "timeout"),
        (["lucca-leave", "x", "--poke-interval", "-1"], "poke_interval"),
        (["lucca-leave", HOSTILE], "summary_id is not an identifier of an import"),
    ],
    ids=lambda value: " ".join(value).encode("unicode_escape").decode() if isinstance(value, list) else "",
)
def test_arguments_that_cannot_be_right_are_refused_before_anything_is_sent(watch, sandbox, capsys, arguments, words):
    with pytest.raises(SystemExit) as ended:
        watch(*arguments)
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert words in told
    assert told.replace("\n", "").isprintable()
    assert sandbox.requests() == []


# What must not come out


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["lines", "json"])
def test_what_a_vendor_says_is_inert(watch, sandbox, options):
    body = {"import_file": {"status": 1, "status_name": HOSTILE}}
    import_id = sandbox.create_import("leadsy", "lead", {"answers": [body]})
    watched = watch("leadsy", import_id, "--timeout", "5", *options)
    assert "owned" in watched.text
    assert watched.text.replace("\n", "").isprintable()


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["lines", "json"])
@pytest.mark.parametrize("status", [401, 503])
def test_no_secret_comes_out_even_if_the_vendor_repeats_it(watch, sandbox, leave_import, options, status):
    import_id = leave_import(57)
    sandbox.add_fault({"status": status, "body": json.dumps({"message": f"bad {API_KEY}"})}, times=None)
    watched = watch("lucca-leave", import_id, *options)
    sandbox.clear_faults()
    assert "bad ***" in watched.text
    assert API_KEY not in watched.text


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["lines", "json"])
def test_what_nobody_foresaw_ends_with_2_and_tells_no_password_of_a_database(watch, monkeypatch, options):
    def load(_):
        raise RuntimeError("no database at postgresql://airflow:secret@db/airflow")

    monkeypatch.setattr(main.pkgutil, "resolve_name", load)
    watched = watch("lucca-leave", "x", *options)
    assert watched.exit_code == 2
    assert "RuntimeError: no database at postgresql://***@db/airflow" in watched.out[-1]


# When somebody stops it


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["lines", "json"])
def test_an_interruption_ends_with_130_and_what_is_known(watch, clock, monkeypatch, leave_import, options):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(clock, "sleep", interrupt)
    watched = watch("lucca-leave", leave_import(57), *options)
    assert watched.exit_code == 130
    assert "interrupted" in watched.out[-1]
    assert "57 %" in watched.out[-1]


# The bar


@pytest.fixture
def bar(clock, monkeypatch):
    """Return a bar on a terminal that is 100 columns wide, and a function that returns what was written."""
    monkeypatch.delenv("NO_COLOR", raising=False)

    def bar(**settings):
        out, view = io.StringIO(), WatchedImport("leadsy_default")
        view.begin(vendor="Leadsy", import_id="x", subject="Leadsy import 'x'", now=clock.now, timeout=600)
        console = make_console(out, width=100, color_system="standard", **settings)
        return Bar(view, out, console), view, out

    return bar


def a_progress(**values):
    return ImportProgress(import_id="x", state=ImportState.RUNNING, **values)


def written(bar, out):
    """Return what a bar shows of its view, without what moves the cursor and colors it."""
    bar.console.print(bar.render())
    return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", out.getvalue())


def test_the_bar_shows_what_is_known_of_the_import_and_of_the_polls(bar, clock):
    bar, view, out = bar()
    view.state.progress, view.state.polled_at = (
        a_progress(percent=42.0, total=3000, processed=1260, failed=3),
        clock.now,
    )
    view.seconds_left, view.state.next_poll_at = lambda now: 180, clock.now + 12
    clock.now += 8
    subject, moving, words, polls = (line.rstrip() for line in written(bar, out).splitlines())
    assert subject == "Leadsy import 'x'"
    assert set(moving) <= set("━╸╺")
    assert words == "42 % · running · 1,260 of 3,000 records · 3 failed · about 3 minutes left"
    assert " · next poll in 4 s · watched for 0:08 · until " in polls


def test_a_failed_poll_stays_above_the_bar_which_tells_when_it_is_asked_again(bar, clock):
    bar, view, out = bar()
    view.state.error, view.state.polled_at, view.state.failures = "it is down", clock.now, 1
    view.state.next_poll_at = clock.now + 5
    bar.on_error([LogLine("Poll failed (number 1 of at most 10 in a row), next in 5 s. it is down", is_warning=True)])
    note, *_, words, polls = written(bar, out).splitlines()
    assert note[9:] == "Poll failed (number 1 of at most 10 in a row), next in 5 s. it is down"
    assert words == "no progress yet"
    assert " · 1 poll failed in a row · next poll in 5 s · " in polls


def test_the_bar_does_not_take_a_vendor_that_asks_for_fewer_requests_for_one_that_fails(bar, clock):
    bar, view, out = bar()
    view.state.error, view.state.polled_at, view.state.is_rate_limited = "HTTP 429", clock.now, True
    view.state.next_poll_at = clock.now + 60
    *_, polls = written(bar, out).splitlines()
    assert " · the vendor asks for fewer requests · next poll in 60 s · " in polls
    assert "failed" not in polls


def test_the_bar_gives_the_cursor_back(bar):
    bar, _, out = bar()
    with pytest.raises(KeyboardInterrupt), bar:
        raise KeyboardInterrupt
    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")


def test_markup_and_escapes_in_what_a_vendor_says_are_inert_at_a_terminal(bar, clock):
    bar, view, out = bar(no_color=True)
    view.subject = f"import {HOSTILE}"
    view.state.progress, view.state.polled_at = a_progress(percent=1.0), clock.now
    bar.on_log([LogLine(f"said {HOSTILE}", is_warning=True)])
    shown = written(bar, out)
    bar.on_end(Outcome("failed", f"it {HOSTILE}"))
    assert shown.count("[red]") == 2
    assert "[/]" in shown
    assert "\x1b]" not in out.getvalue()
    assert "\x1b[31m" not in out.getvalue()
    assert not set("\x07\r\u202e") & set(out.getvalue())


def test_the_bar_has_no_color_if_nobody_wants_any(bar, clock, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    bar, view, out = bar()
    view.state.progress, view.state.polled_at = a_progress(percent=50.0), clock.now
    bar.on_log([LogLine("a warning", is_warning=True)])
    written(bar, out)
    bar.on_end(Outcome("done", "x"))
    assert not re.search(r"\x1b\[[\d;]*3\d", out.getvalue())


# The process


@pytest.fixture
def process(sandbox, running_sandbox, tmp_path):
    """Return a function that starts the command as a process."""
    started = []

    def process(*arguments, **settings):
        environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "TERM": "xterm-256color", "COLUMNS": "100"}
        environment.pop("_AIRFLOW_PROCESS_CONTEXT", None)
        command = [sys.executable, "-m", "airflow_import_progress", "watch", *arguments]
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **settings}
        started.append(subprocess.Popen(command, env=environment, **settings))  # noqa: S603
        return started[-1]

    yield process
    for one in started:
        one.kill()
        one.communicate()


def test_the_command_writes_json_and_nothing_besides(process, sandbox):
    import_id = sandbox.create_import("lucca", "leave", {"answers": [57, 100]})
    one = process("lucca-leave", import_id, "--poke-interval", "1", "--json")
    out, errors = one.communicate()
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["progress", "progress", "outcome"]
    assert (one.returncode, errors) == (0, "")


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command(process, sandbox, number, exit_code):
    import_id = sandbox.create_import("lucca", "leave", {"answers": [57]})
    one = process("lucca-leave", import_id, "--json")
    assert json.loads(one.stdout.readline())["event"] == "progress"
    one.send_signal(number)
    _, errors = one.communicate()
    assert (one.returncode, errors) == (exit_code, "")


def test_a_reader_that_goes_away_ends_the_command(process, sandbox):
    import_id = sandbox.create_import("lucca", "leave", {"answers": [10, 20, 30, 40, 50]})
    one = process("lucca-leave", import_id, "--poke-interval", "1", "--json")
    one.stdout.readline()
    one.stdout.close()
    assert (one.wait(), one.stderr.read()) == (141, "")


def test_at_a_terminal_the_command_shows_a_bar(process, sandbox):
    import_id = sandbox.create_import("lucca", "leave", {"answers": [57, -1]})
    ours, its = pty.openpty()
    one = process("lucca-leave", import_id, "--poke-interval", "1", stdin=its, stdout=its, stderr=its)
    os.close(its)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:
        pass  # as Linux tells the end
    finally:
        os.close(ours)
    text = shown.decode()
    assert one.wait() == 1
    assert "57 % · running" in text
    assert "━" in text
    assert "failed at the vendor (status -1)" in re.sub(r"\s+", " ", text)
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
