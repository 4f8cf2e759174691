"""The `mooring` command.

What a command needs beyond typer is imported when it runs: `mooring --help` and `mooring sandbox` must not wait for database and
HTTP libraries.
"""


def main() -> None:
    """Run the command line and exit: 0 for success, 1 for a refusal or a failure that was told, 2 for wrong usage."""
    from mooring.cli.app import app

    app(prog_name="mooring")
