"""``his-adapter``: the command line."""

from adapter_core.cli.account_commands import accounts_app
from adapter_core.cli.app import app, main
from adapter_core.cli.paper_commands import paper_app

app.add_typer(accounts_app, name="accounts")
app.add_typer(paper_app, name="paper")

__all__ = ["main"]
