import typer

app = typer.Typer()


@app.command()
def graph() -> None: ...
