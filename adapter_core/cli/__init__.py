"""``his-adapter``: the command line."""

from adapter_core.cli import case_commands  # noqa: F401  # importing a room registers its commands
from adapter_core.cli.account_commands import accounts_app
from adapter_core.cli.app import app, main
from adapter_core.cli.catalogue_commands import catalogue_app, mapping_app, openings_app
from adapter_core.cli.ledger_commands import ledger_app
from adapter_core.cli.paper_commands import paper_app
from adapter_core.cli.plugin_commands import plugin_app, standard_app
from adapter_core.cli.site_commands import user_app

app.add_typer(standard_app, name="standard")
app.add_typer(ledger_app, name="ledger")
app.add_typer(plugin_app, name="plugin")
app.add_typer(openings_app, name="openings")
app.add_typer(catalogue_app, name="catalogue")
app.add_typer(mapping_app, name="mapping")
app.add_typer(user_app, name="user")
app.add_typer(accounts_app, name="accounts")
app.add_typer(paper_app, name="paper")

__all__ = ["main"]
