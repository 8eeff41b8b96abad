"""The commands that are printed to be typed next."""

import shutil
import sys

import pytest

from lume_services.cli.command import command_line


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch):
    monkeypatch.delenv("MAKELEVEL", raising=False)
    monkeypatch.setenv("LUME_HOME", "/data/my results")
    monkeypatch.setenv("LUME_RESULTS_DB__PASSWORD", "hunter2")
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")


def test_arguments_are_quoted():
    assert command_line("results", "list", "--where", "a < 2") == "lume-services results list --where 'a < 2'"


def test_under_make_the_place_of_the_results_is_repeated_and_no_secret(monkeypatch):
    monkeypatch.setenv("MAKELEVEL", "1")
    assert command_line("results", "list") == "LUME_HOME='/data/my results' lume-services results list"


def test_a_program_that_is_not_on_the_path_is_named_as_it_was_called(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / ".venv" / "bin" / "lume-services")])
    assert command_line("doctor") == ".venv/bin/lume-services doctor"
    monkeypatch.setattr(sys, "argv", ["/usr/lib/lume_services/__main__.py"])
    assert command_line("doctor") == f"{sys.executable} -m lume_services doctor"
