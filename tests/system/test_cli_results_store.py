"""`lume-services results import|copy|delete|stats` as a user types them, in processes of their own."""

from __future__ import annotations

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from terminal import shown_on_a_terminal

from lume_services.results import Result
from lume_services.services.results import ResultsDBService
from lume_services.services.results.file import FileResultsDB
from lume_services.values import fingerprint


class CommandLine:
    """Runs `lume-services results`, with nothing of this process's environment but the path."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = home / "lume" / "results"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LUME_HOME": str(home / "lume"),
            "PYTHONUNBUFFERED": "1",
        }

    def __call__(self, *arguments: object, typed: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments),
            input=typed,
            capture_output=True,
            text=True,
            cwd=self.home,
            env=self.environment,
        )
        assert "Traceback" not in done.stderr
        return done

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "lume_services", "results", *map(str, arguments)]


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


def fill(folder: Path, count: int, project: str = "magnets", **outputs: Any) -> None:
    with FileResultsDB(folder) as store:
        service = ResultsDBService(lambda: store)
        for number in range(count):
            result = Result(
                project_name=project,
                inputs={"n": number, "QUAD:LI20:X.BCTRL": 1.5},
                outputs={"y": number / 3, **outputs},
            )
            result.insert(service)


def content(folder: Path, project: str = "magnets") -> list[str]:
    with FileResultsDB(folder) as store:
        return [
            fingerprint({key: value for key, value in record.items() if key != "_id"})
            for record in store.find(collection=project, sort="inputs.n")
        ]


class TestDelete:
    def test_it_shows_how_many_and_asks(self, cli: CommandLine) -> None:
        fill(cli.store, 4)
        refused = cli("delete", "--where", "inputs.n < 2", typed="n\n")
        assert "Delete 2 results?" in refused.stderr
        assert refused.returncode == 1
        assert len(content(cli.store)) == 4
        done = cli("delete", "--query", '{"inputs.n": {"$lt": 2}}', typed="y\n")
        assert done.stdout == "2 results deleted\n"
        assert len(content(cli.store)) == 2
        assert cli("delete", "--where", "inputs.n < 2", "--json").stdout == '{\n  "deleted": 0\n}\n'

    def test_in_a_pipe_nobody_answers(self, cli: CommandLine) -> None:
        fill(cli.store, 1)
        assert cli("delete", "--all").returncode == 1
        assert len(content(cli.store)) == 1
        assert cli("delete", "--all", "--yes", "--project", "magnets").stdout == "1 result deleted\n"
        assert content(cli.store) == []

    def test_by_id_with_its_arrays(self, cli: CommandLine) -> None:
        fill(cli.store, 3, image=np.arange(20_000.0))
        records = json.loads(cli("list", "--json").stdout)
        assert cli("delete", records[0]["_id"], records[1]["unique_hash"][:16], "-y").returncode == 0
        assert json.loads(cli("list", "--json").stdout) == records[2:]
        assert len(list((cli.store / "blobs").glob("??/*"))) == 1
        cli("delete", records[2]["_id"], "-y")
        assert list((cli.store / "blobs").glob("??/*")) == []

    def test_a_damaged_result_by_its_id(self, cli: CommandLine) -> None:
        fill(cli.store, 3)
        damaged = json.loads(cli("list", "--json").stdout)[1]["_id"]
        with sqlite3.connect(cli.store / "results.sqlite") as connection:
            connection.execute("UPDATE records SET document = substr(document, 9) WHERE id = ?", (damaged,))
        connection.close()
        assert damaged in cli("list").stderr
        [found] = json.loads(cli("stats", "--json").stdout)
        assert (found["results"], found["damaged"]) == (3, 1)
        assert cli("delete", damaged, "--yes").stdout == "1 result deleted\n"
        assert cli("list").returncode == 0

    @pytest.mark.parametrize(
        ("arguments", "message", "code"),
        [
            ([], "Give one: ids, or --where, or --query, or --all", 2),
            (["--all", "--where", "inputs.n < 2"], "Give one: ids", 2),
            (["abc", "--all"], "Give one: ids", 2),
            (["--where", "inputs.n <"], "expected a value", 2),
            (["--query", "[" * 100_000], "not valid JSON", 2),
            (["--query", '{"n": {"$gtt": 1}}'], "Did you mean '$gt'?", 2),
            (["nothing", "--yes"], "there is no result 'nothing'", 1),
            (["--all", "--project", "magnet"], "Did you mean 'magnets'?", 1),
        ],
    )
    def test_mistakes_delete_nothing(
        self, cli: CommandLine, arguments: list[str], message: str, code: int
    ) -> None:
        fill(cli.store, 2)
        done = cli("delete", *arguments)
        assert message in done.stderr
        assert done.returncode == code
        assert len(content(cli.store)) == 2


class TestCopy:
    def test_all_projects_or_one(self, cli: CommandLine, tmp_path: Path) -> None:
        fill(tmp_path / "old", 3, image=np.arange(20_000.0))
        fill(tmp_path / "old", 2, "beams")
        done = cli("copy", "--from", "file:old", "--project", "beams")
        assert done.stdout == "beams: 2 copied, 0 were there already\n"
        assert done.stderr == "copied 2 of 2\n"
        again = cli("copy", "--from", "file:old", "--json")
        assert json.loads(again.stdout) == [
            {"collection": "beams", "copied": 0, "present": 2},
            {"collection": "magnets", "copied": 3, "present": 0},
        ]
        assert again.stderr == ""
        assert content(cli.store) == content(tmp_path / "old")
        assert content(cli.store, "beams") == content(tmp_path / "old", "beams")

    def test_a_store_of_a_configuration_file(self, cli: CommandLine, tmp_path: Path) -> None:
        """The environment, which configures another store, does not mix in."""
        fill(cli.store, 2)
        (tmp_path / "new.yaml").write_text(f"results_db: {{type: file, path: {tmp_path}/new}}\n")
        cli.environment["LUME_RESULTS_DB__PATH"] = str(cli.store)
        done = cli("copy", "--to", "new.yaml", "--where", "inputs.n = 1")
        assert done.stdout == "magnets: 1 copied, 0 were there already\n"
        assert content(tmp_path / "new") == content(cli.store)[1:]

    def test_a_bar_on_a_terminal(self, cli: CommandLine, tmp_path: Path) -> None:
        fill(tmp_path / "old", 3)
        command = cli.command("copy", "--from", "file:old")
        shown = shown_on_a_terminal(command, folder=tmp_path, environment=cli.environment, columns=80)
        assert "━" in shown
        assert "3/3" in shown

    def test_kill_9_midway_and_again(self, cli: CommandLine, tmp_path: Path) -> None:
        fill(tmp_path / "old", 400, image=np.arange(10_000.0))
        process = subprocess.Popen(
            cli.command("copy", "--from", "file:old", "--json"), cwd=tmp_path, env=cli.environment
        )
        try:
            deadline = time.monotonic() + 60
            while len(found := content(cli.store)) == 0:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            process.kill()
        assert process.wait() == -signal.SIGKILL
        whole = content(tmp_path / "old")
        assert 0 < len(found) < len(whole)
        [transfer] = json.loads(cli("copy", "--from", "file:old", "--json").stdout)
        assert transfer["present"] >= len(found)
        assert transfer["copied"] + transfer["present"] == len(whole)
        assert content(cli.store) == whole

    def test_a_damaged_result_is_named_and_the_others_are_copied(
        self, cli: CommandLine, tmp_path: Path
    ) -> None:
        fill(tmp_path / "old", 3, "beams")
        fill(tmp_path / "old", 3)
        with sqlite3.connect(tmp_path / "old" / "results.sqlite") as connection:
            connection.execute("UPDATE records SET document = substr(document, 9) WHERE sequence IN (2, 5)")
            damaged = [
                row[0] for row in connection.execute("SELECT id FROM records WHERE sequence IN (2, 5)")
            ]
        connection.close()
        done = cli("copy", "--from", "file:old", "--where", "inputs.n >= 0")
        assert done.returncode == 1
        assert all(record_id in done.stderr for record_id in damaged)
        assert len(content(cli.store)) == len(content(cli.store, "beams")) == 2

    @pytest.mark.parametrize(
        ("arguments", "message", "code"),
        [
            ([], "the same store", 2),
            (["--from", "nothing"], "file:FOLDER", 2),
            (["--from", "files:old"], "file:FOLDER", 2),
            (["--from", "missing.yaml"], "missing.yaml: cannot be read", 2),
            (["--from", "wrong.yaml"], "--from wrong.yaml: results_db.pth: unknown name", 2),
            (["--to", "broken.toml"], "broken.toml: cannot be parsed", 2),
            (["--from", "file:missing"], "there is no results store", 1),
            (["--from", "file:old", "--project", "magnet"], "Did you mean 'magnets'?", 1),
            (["--from", "file:old", "--to", "file:wrong.txt"], "wrong.txt", 1),
        ],
    )
    def test_mistakes(
        self, cli: CommandLine, tmp_path: Path, arguments: list[str], message: str, code: int
    ) -> None:
        fill(tmp_path / "old", 1)
        (tmp_path / "wrong.yaml").write_text("results_db: {type: file, pth: /data}")
        (tmp_path / "broken.toml").write_text("results_db = {")
        (tmp_path / "wrong.txt").write_text("no folder")
        done = cli("copy", *arguments)
        assert message in done.stderr
        assert done.returncode == code
        assert not (tmp_path / "missing").exists()


class TestImport:
    @pytest.mark.parametrize("form", ["hdf5", "json", "jsonl"])
    def test_what_export_wrote(self, cli: CommandLine, tmp_path: Path, form: str) -> None:
        fill(tmp_path / "old", 3)
        fill(tmp_path / "old", 2, "beams")
        cli("copy", "--from", "file:old")
        cli("export", f"out.{form}")
        cli("delete", "--all", "--yes")
        done = cli("import", f"out.{form}")
        assert done.stdout.splitlines() == [
            "beams: 2 copied, 0 were there already",
            "magnets: 3 copied, 0 were there already",
        ]
        assert content(cli.store) == content(tmp_path / "old")
        again = json.loads(cli("import", f"out.{form}", "--json").stdout)
        assert [one["present"] for one in again] == [2, 3]

    def test_what_json_does_not_keep_is_refused_by_name(self, cli: CommandLine) -> None:
        fill(cli.store, 1, image=np.arange(3.0))
        fill(cli.store, 1, "infinite", loss=math.inf)
        for project in ("magnets", "infinite"):
            cli("export", "out.json", "--project", project)
            done = cli("import", "out.json")
            assert done.returncode == 1
            assert "out.json: result 1: this result is not what was exported" in done.stderr
            assert "--format hdf5" in done.stderr
        cli("export", "out.h5")
        whole = content(cli.store)
        cli("delete", "--all", "--yes")
        assert cli("import", "out.h5").returncode == 0
        assert content(cli.store) == whole

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("out.csv", "a,b\n", "choose one of"),
            ("out.h5", "no HDF5", "it cannot be opened as HDF5"),
            ("out.json", "{}", "it is not a list of results"),
            ("out.json", "[" * 100_000, "it is not JSON"),
            ("out.jsonl", "{}\n", "line 1: this is no exported result"),
            ("out.jsonl", '{"project_name": "p", "unique_hash": "x"}', "is not known here"),
            (
                "out.jsonl",
                '{"project_name": "p", "unique_hash": "x", "result_type_string": "os:system"}',
                "'os:system' is not known here",
            ),
        ],
    )
    def test_mistakes(self, cli: CommandLine, tmp_path: Path, name: str, text: str, message: str) -> None:
        (tmp_path / name).write_text(text)
        done = cli("import", name)
        assert message.lower() in done.stderr.lower()
        assert done.returncode == 1

    def test_a_file_that_is_not_there(self, cli: CommandLine) -> None:
        done = cli("import", "missing.h5")
        assert "does not exist" in done.stderr
        assert done.returncode == 2


def test_stats(cli: CommandLine) -> None:
    fill(cli.store, 3, image=np.arange(20_000.0))
    fill(cli.store, 2, "beams")
    lines = cli("stats").stdout.splitlines()
    assert lines[0].split("\t") == ["project", "results", "damaged", "size", "first", "last"]
    assert [line.split("\t")[:3] for line in lines[1:3]] == [["beams", "2", "0"], ["magnets", "3", "0"]]
    assert lines[4].split("\t") == ["project", "array", "id", "size"]
    assert [line.split("\t")[1] for line in lines[5:]] == ["outputs.image"] * 3
    [found] = json.loads(cli("stats", "--project", "magnets", "--json").stdout)
    assert 160_000 < found["nbytes"] < 170_000  # the three arrays are equal, and stored once
    assert found["first"] <= found["last"]
    assert {part["nbytes"] for part in found["largest"]} == {160_000}
    assert cli("stats", "--project", "magnet").returncode == 1


def test_reindex(cli: CommandLine) -> None:
    fill(cli.store, 3, image=np.arange(20_000.0))
    orphan = cli.store / "blobs" / "ab" / ("ab" * 32)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"left by a killed writer")
    done = cli("reindex")
    assert "1 leftovers removed; 0 results damaged" in done.stdout
    assert done.returncode == 0
    assert not orphan.exists()
    with sqlite3.connect(cli.store / "results.sqlite") as connection:
        connection.execute("UPDATE records SET document = substr(document, 9) WHERE sequence = 2")
        [(damaged,)] = connection.execute("SELECT id FROM records WHERE sequence = 2")
    connection.close()
    done = cli("reindex", "--json")
    assert list(json.loads(done.stdout)["damaged"]) == [damaged]
    assert done.returncode == 1


def test_reindex_finds_what_was_put_into_an_hdf5_store(cli: CommandLine) -> None:
    cli.environment |= {"LUME_RESULTS_DB__TYPE": "hdf5", "LUME_RESULTS_DB__PATH": str(cli.home / "hdf5")}
    fill(cli.home / "old", 3, image=np.arange(20_000.0))
    assert cli("copy", "--from", "file:old").returncode == 0
    for index in (cli.home / "hdf5").glob("*.sqlite*"):
        index.unlink()
    assert cli("reindex").stdout.startswith("3 results added")
    done = cli("copy", "--from", "file:old", "--json")
    assert json.loads(done.stdout) == [{"collection": "magnets", "copied": 0, "present": 3}]
    assert cli("copy", "--to", "hdf5:again").returncode == 0
    [found] = json.loads(cli("stats", "--json").stdout)
    assert (found["results"], found["damaged"]) == (3, 0)
    assert found["nbytes"] >= 3 * 160_000 or found["largest"]
