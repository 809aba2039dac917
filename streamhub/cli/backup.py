"""`streamhub backup FILE` and `streamhub restore FILE`."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from .control import AsJson, CliError, service_runs, settings_or_fail
from .output import print_json, say

if TYPE_CHECKING:
    from camera_registry.backup import DataFiles
    from camera_registry.backup_archive import Manifest
    from camera_registry.domain import Actor
    from camera_registry.secret import Secret
    from streamhub.settings import Settings

T = TypeVar("T")

PassphraseStdin = Annotated[
    bool, typer.Option("--passphrase-stdin", help="Read the passphrase from standard input.")
]


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it may not be there yet.")],
    without_key: Annotated[
        bool,
        typer.Option(
            "--without-key",
            help="Leave the key to the cameras' passwords out, and the file unsealed.",
        ),
    ] = False,
    passphrase_stdin: PassphraseStdin = False,
    as_json: AsJson = False,
) -> None:
    """Back the whole registry up, while the service runs or not.

    With the key in it the file is sealed by a passphrase, which is asked for; without, keep
    secret.key elsewhere.
    """
    from camera_registry.backup import make_backup

    settings = settings_or_fail()
    passphrase = None if without_key else _passphrase(passphrase_stdin, new=True)
    manifest = _run(
        make_backup(_files(settings), file, passphrase, program=version("streamhub"), by=_actor())
    )
    _show(manifest, as_json=as_json, file=str(file))
    if not as_json:
        say(f"wrote {file}" + (", sealed by the passphrase" if passphrase else ""))


def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    force: Annotated[
        bool, typer.Option("--force", help="Keep the registry that is there aside, and replace it.")
    ] = False,
    passphrase_stdin: PassphraseStdin = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the registry's place; everything is checked before anything is touched.

    No service may run. An older schema is brought up to this program's.
    """
    from camera_registry.backup import restore_backup
    from camera_registry.backup_file import BackupReader
    from camera_registry.errors import BackupError

    from .serve import locked

    settings = settings_or_fail()
    if service_runs(settings.control_socket):
        raise CliError(f"A service runs on {settings.data_dir}; stop it first.")
    try:
        with file.open("rb") as opened:
            sealed = BackupReader(opened).sealed
    except OSError as error:
        raise CliError(f"{file} can't be read ({error.strerror}).", exit_code=2) from None
    except BackupError as error:
        raise CliError(f"{error} ({error.code})") from None
    passphrase = _passphrase(passphrase_stdin, new=False) if sealed else None
    with locked(settings.data_dir):
        restored = _run(
            restore_backup(_files(settings), file, passphrase, force=force, by=_actor())
        )
    aside = None if restored.aside is None else str(restored.aside)
    _show(restored.manifest, as_json=as_json, file=str(file), aside=aside, note=restored.note)
    if not as_json:
        say(f"restored {file}; check it with `streamhub audit verify`, then start the service")
        if aside is not None:
            say(f"what was there before is in {aside}")
        if restored.note is not None:
            say(restored.note)


def _files(settings: Settings) -> DataFiles:
    from camera_registry.backup import DataFiles

    return DataFiles(
        data_dir=settings.data_dir,
        registry=settings.registry_place,
        key=settings.vault_key_path,
        forms_dir=settings.data_dir / "forms",
    )


def _actor() -> Actor:
    from streamhub.access.principal import Principal

    return Principal.local(getpass.getuser()).actor()


def _passphrase(from_stdin: bool, *, new: bool) -> Secret:
    from camera_registry.secret import Secret

    if from_stdin:
        return Secret(sys.stdin.readline().rstrip("\n"))
    return Secret(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=new))


def _run(work: Coroutine[Any, Any, T]) -> T:
    from camera_registry.errors import RegistryError

    try:
        return asyncio.run(work)
    except RegistryError as error:
        raise CliError(f"{error} ({error.code})") from None


def _show(manifest: Manifest, *, as_json: bool, **more: Any) -> None:
    if as_json:
        print_json(
            {
                **more,
                "created_at": manifest.created_at.isoformat(),
                "schema": manifest.schema,
                "counts": dict(manifest.counts),
                "audit_rows": manifest.audit_rows,
                "audit_hash": manifest.audit_hash,
                "with_key": manifest.has_key,
            }
        )
        return
    count = manifest.counts
    say(
        f"schema {manifest.schema}, {count.get('channels', 0)} channels, "
        f"{count.get('devices', 0)} devices, {count.get('subjects', 0)} subjects, "
        f"{manifest.audit_rows} audit rows; last hash {manifest.audit_hash}"
    )
