import typer

app = typer.Typer()


@app.command()
def results() -> None: ...
