"""Room sign: the command line. One file per noun; each calls the API and prints.

Belongs here: arguments, tables, exit codes. Does not belong here: rules (the API has them).
Heavy rooms are imported inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

import importlib
import sys

import typer

from .control import CliError

# (module, attribute, command): commands whose files other parts of the tree bring along.
_OPTIONAL = (
    ("streamhub.cli.bench_rights", "app", "bench"),
    ("streamhub.cli.farm", "farm", "farm"),
    ("streamhub.cli.doctor", "doctor", "doctor"),
    ("streamhub.cli.demo", "demo", "demo"),
)


def build() -> typer.Typer:
    """The whole command."""
    from . import (
        area_load,
        audit,
        audit_exports,
        backup,
        camera_discover,
        camera_filing,
        camera_inspect,
        camera_ptz,
        device,
        grant_explain,
        loan,
        purpose,
        quota,
        role,
        serve,
        subject,
        subject_key,
        webhook,
    )

    app = typer.Typer(
        name="streamhub",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        help="Cameras of a district, shown to whom they were granted.",
    )
    app.command("serve")(serve.serve)
    app.add_typer(area_load.app, name="area")
    # One group, to which each of these files has added its commands.
    [cameras] = {camera_discover.app, camera_filing.app, camera_inspect.app, camera_ptz.app}
    app.add_typer(cameras, name="camera")
    app.add_typer(device.app, name="device")
    app.add_typer(grant_explain.app, name="grant")
    app.add_typer(loan.app, name="loan")
    app.add_typer(role.app, name="role")
    app.add_typer(purpose.app, name="purpose")
    app.add_typer(quota.app, name="quota")
    subject.app.add_typer(subject_key.app, name="key")
    app.add_typer(subject.app, name="subject")
    app.add_typer(webhook.app, name="webhook")
    app.add_typer(audit_exports.app, name="audit")
    app.command("views")(audit.views)
    app.command("backup")(backup.backup)
    app.command("restore")(backup.restore)
    wanted = sys.argv[1] if len(sys.argv) > 1 else None
    for module, attribute, name in _OPTIONAL:
        # Only what is asked for, or all for the help: they import codecs and the like.
        if wanted in (name, None) or wanted.startswith("-"):
            found = getattr(importlib.import_module(module), attribute)
            if isinstance(found, typer.Typer):
                app.add_typer(found, name=name)
            else:
                app.command(name)(found)
    return app


def main() -> None:
    """Entry point. Errors are one sentence with the next step: exit code 1, or 2 for usage."""
    try:
        build()()
    except CliError as error:
        print(f"streamhub: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(error.exit_code) from None
