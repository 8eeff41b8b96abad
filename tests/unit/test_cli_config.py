"""`lume-services config`, and what is made from the models of the settings."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lume_services.config import LUMEServicesSettings, reference

ROOT = Path(__file__).parents[2]


def lume_services(*arguments, folder, **env):
    """Run the command as a user does, with nothing of this process's environment."""
    return subprocess.run(
        [sys.executable, "-m", "lume_services", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LUME_HOME": str(folder / "home"), **env},
    )


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("config/local.env", reference.sample_env),
        ("config/lume-services.yaml", reference.sample_yaml),
        ("docs/reference/variables.md", reference.markdown_page),
    ],
)
def test_what_is_made_from_the_models_is_current(path, text):
    """CFG-10: the predecessor documented variables that did not exist. `make samples` makes them anew."""
    assert (ROOT / path).read_text() == text()


def test_samples_are_valid_once_uncommented(tmp_path):
    env = "\n".join(
        line[2:] if line.startswith("# LUME_") and "IDENTIFIER" not in line else ""
        for line in reference.sample_env().splitlines()
    )
    (tmp_path / ".env").write_text(env.replace("LUME_RESULTS_DB__TYPE=file", "LUME_RESULTS_DB__TYPE=mongodb"))
    done = lume_services("config", "check", folder=tmp_path)
    assert "LUME_MOUNTED_FILESYSTEM__MOUNT_PATH: required" in done.stderr
    lines = [line[2:] for line in reference.sample_yaml().splitlines()[2:] if line.startswith("# ")]
    parsed = yaml.safe_load("\n".join(lines))
    assert parsed.keys() == LUMEServicesSettings.model_fields.keys() - {"config_file"}


def test_show_tells_value_and_source(tmp_path):
    done = lume_services(
        "config",
        "show",
        "--json",
        folder=tmp_path,
        LUME_RESULTS_DB__HOST="db",
        LUME_RESULTS_DB__PASSWORD="s3cret",
    )
    rows = {row["setting"]: row for row in json.loads(done.stdout)}
    assert rows["results_db.host"] == {
        "setting": "results_db.host",
        "value": "db",
        "source": "LUME_RESULTS_DB__HOST",
    }
    assert rows["backend"]["source"] == "default"
    assert "s3cret" not in done.stdout
    assert rows["results_db.password"]["value"] == "**********"


def test_show_is_plain_in_a_pipe(tmp_path):
    done = lume_services("config", "show", folder=tmp_path)
    assert done.stdout.startswith("setting\tvalue\tsource\n")


def test_check_reports_all_problems_at_once(tmp_path):
    env = {
        "LUME_BACKEND": "dokcer",
        "LUME_RESULTS_DB__HOTS": "x",
        "LUME_RESULTS_DB__PORT": "99999",
        "LUME_CONFIG_FILE": "/nope.toml",
    }
    done = lume_services("config", "check", folder=tmp_path, **env)
    assert done.returncode == 2
    assert "4 problems" in done.stderr
    assert all(name in done.stderr for name in [*list(env)[:3], "/nope.toml"])
    assert "Traceback" not in done.stderr
    found = json.loads(lume_services("config", "check", "--json", folder=tmp_path, **env).stdout)
    assert found["valid"] is False
    assert len(found["problems"]) == 4
    assert lume_services("config", "check", folder=tmp_path).stdout == "The configuration is valid.\n"


def test_env_in_three_forms(tmp_path):
    assert "# LUME_BACKEND=local" in lume_services("config", "env", folder=tmp_path).stdout
    assert "# backend: local" in lume_services("config", "env", "--format", "yaml", folder=tmp_path).stdout
    rows = json.loads(lume_services("config", "env", "--json", folder=tmp_path).stdout)
    assert {"LUME_HOME", "LUME_RESULTS_DB__HOST"} <= {row["variable"] for row in rows}


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["results", "list", "--help"]])
def test_help_imports_nothing_heavy_and_needs_no_configuration(tmp_path, arguments):
    """CFG-3."""
    code = (
        "import sys, lume_services.cli\nsys.argv[0] = 'lume-services'\n"
        "try: lume_services.cli.main()\nexcept SystemExit: pass\n"
        "print([m for m in ('prefect','pymongo','h5py','pandas','numpy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "LUME_BACKEND": "nonsense"},
    )
    assert "Usage: lume-services" in done.stdout
    assert done.stdout.endswith("[]\n")


def test_usage_errors_exit_with_two(tmp_path):
    done = lume_services("config", "nonsense", folder=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(tmp_path):
    done = lume_services("--debug", "config", "check", folder=tmp_path, LUME_BACKEND="nope")
    assert "Traceback" in done.stderr
