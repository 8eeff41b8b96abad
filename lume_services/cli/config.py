"""`lume-services config`: what is configured, whether it is valid, and what can be."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from lume_services.cli.output import JSONFlag, echo, echo_lines, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="Show and check the configuration.", rich_markup_mode=None)


class Format(StrEnum):
    """How the reference of settings is printed."""

    env = "env"
    yaml = "yaml"
    markdown = "markdown"


@app.command()
def show(*, as_json: JSONFlag = False) -> None:
    """Show every setting, its value, and where it comes from. Secrets are masked."""
    from lume_services.config.problems import holds, place_of
    from lume_services.config.read import read_settings, read_sources
    from lume_services.config.reference import shown_values

    values = shown_values(read_settings())
    sources = read_sources()
    rows = [
        {
            "setting": ".".join(path),
            "value": value,
            "source": place_of(path, sources)
            if any(holds(source, path) for source in sources.values())
            else "default",
        }
        for path, value in values.items()
    ]
    if as_json:
        print_json(rows)
    else:
        columns = ("setting", "value", "source")
        print_table("Configuration", columns, [[row[name] for name in columns] for row in rows])


@app.command()
def check(*, as_json: JSONFlag = False) -> None:
    """Check the configuration, and report all its problems at once (exit code 2)."""
    from lume_services.config import build_context
    from lume_services.errors import ConfigurationError

    try:
        build_context()
    except ConfigurationError as error:
        if not as_json:
            raise
        print_json({"valid": False, "problems": [problem.as_dict() for problem in error.problems]})
        raise typer.Exit(2) from None
    if as_json:
        print_json({"valid": True, "problems": []})
    else:
        echo("The configuration is valid.")


@app.command()
def env(
    *,
    form: Annotated[Format, typer.Option("--format", help="As .env file, YAML file or Markdown page.")] = (
        Format.env
    ),
    as_json: JSONFlag = False,
) -> None:
    """Print every setting that there is, with its default, as a commented file to start from."""
    from lume_services.config import reference

    if as_json:
        print_json(
            [
                {"variable": s.variable, "default": s.default, "description": s.full_description}
                for s in reference.settings_reference()
            ]
        )
        return
    text = {
        Format.env: reference.sample_env,
        Format.yaml: reference.sample_yaml,
        Format.markdown: reference.markdown_page,
    }[form]()
    echo_lines(text)
