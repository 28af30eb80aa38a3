"""`doppelcam models`: which models there are, what one may do with them; add, pull, check and remove them."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from engines.card import CARD_FILE, ModelCard, read_card
from engines.errors import BadInput, ModelError
from engines.store import Store, check_name, name_from, sha256_of, user_store
from live.catalogue import SHIPPED_KINDS, Entry, by_sha256, catalogue, known
from live.cli.screen import asks, err, out
from live.models import PERSONAL, shipped, shipped_names

app = typer.Typer(
    name="models",
    help="List the models; add, pull (download), check and remove your own.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_MOST_MEMBER_BYTES = 1 << 30

_Name = Annotated[str, typer.Argument(help="The model's name, as the list shows it.", show_default=False)]
_Licence = Annotated[str, typer.Option("--licence", help="What its maker lets you do, for its card.")]


@app.command("list")
def list_models() -> None:
    """List the models that came with doppelcam, your own, and those that can be pulled."""
    store = user_store()
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")  # six columns in 80
    table.add_column("name", min_width=23, overflow="fold")
    table.add_column("kind", no_wrap=True)
    table.add_column("size", no_wrap=True, justify="right")
    table.add_column("licence", max_width=max(14, out.width - 64))
    table.add_column("commercial", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for card in map(shipped, shipped_names()):
        _row(table, card.name, SHIPPED_KINDS.get(card.family, card.family), _size_of(card), card, "[green]shipped[/]")
    installed, notes = store.names(), []
    for name in installed:
        try:
            card = store.card(name)
        except ModelError as error:
            table.add_row(name, "", "", "", "", "[red]broken[/]")
            notes.append(f"{name} is broken: {error.message}")
            continue
        kind = card.family if card.family == PERSONAL else str(card.facts.get("kind", card.family))
        _row(table, name, kind, _size_of(card), card, "[green]installed[/]")
        notes += _lacking(store, name, card.facts.get("needs", []))
    for entry in catalogue().values():
        if entry.name not in installed:
            _row(table, entry.name, entry.kind, entry.size, entry, "known" if entry.url else "by hand")
    out.print(table)
    out.print("\nknown: doppelcam models pull NAME; by hand: get the file, then models add FILE")
    out.print(f"yours lie in {escape(str(store.root))}", soft_wrap=True)
    for note in notes:
        out.print(f"[yellow]{escape(note)}[/]", soft_wrap=True)


@app.command()
def add(
    path: Annotated[
        Path, typer.Argument(help="An .onnx or .dfm file, a model folder with its card.json, or an InsightFace pack's.")
    ],
    name: Annotated[str, typer.Option("--name", help="What to call it; else as the file is called.")] = "",
    licence: _Licence = "",
    family: Annotated[str, typer.Option("--family", help="What it is, where several kinds look alike.")] = "",
) -> None:
    """Add a model that you have: it is looked at, given a card, and copied."""
    path = path.expanduser()
    if path.is_dir() and not (path / CARD_FILE).exists() and any(path.glob("*.onnx")):
        if name or family:
            raise BadInput(f"{path} holds several models", hint="leave out --name and --family, or add one file")
        _add_pack(path, licence)
        return
    if path.is_dir():
        if licence or family:
            raise BadInput(f"the card in {path} says what that model is", hint="leave out --licence and --family")
        name = name or read_card(path).name
        _not_shipped(name)
        _told(user_store().add_folder(path, name))
        return
    sha256 = sha256_of(path)
    entry = by_sha256(sha256)
    name = name or (entry.name if entry else name_from(path.stem))
    _not_shipped(name)
    _told(_adopt(user_store(), path, sha256, name, licence, family))


@app.command()
def pull(
    name: _Name,
    accept: Annotated[bool, typer.Option("--accept-licence", help="You have read the licence and keep to it.")] = False,
) -> None:
    """Download a model of the catalogue, verify it and add it."""
    entry, store = known(name), user_store()
    if not entry.url:
        raise BadInput(
            f"{name} cannot be pulled" + (f": {entry.notes}" if entry.notes else ""),
            hint=f"get it from {entry.page}, then: doppelcam models add FILE",
        )
    wanted = [model for model in entry.models.values() or [name] if model not in store.names()]
    if not wanted:
        raise BadInput(f"{name} is installed already", hint=f"doppelcam models check {name}")
    _consent(entry, accept)
    with _download(store, entry) as (file, sha256):
        if not entry.sha256:
            err.print(
                f"no checksum of {name} is known; from now on it is the one of this file: sha256 {sha256}",
                soft_wrap=True,
            )
        if entry.kind == "pack":
            for member, model in entry.models.items():
                if model in wanted:
                    with _unpacked(file, member) as inner:
                        _told(_adopt(store, inner, sha256_of(inner), model))
        else:
            _told(_adopt(store, file, sha256, name, entry=entry))
    for note in _lacking(store, name, entry.needs):
        err.print(note, soft_wrap=True)


@app.command()
def check(name: Annotated[str, typer.Argument(help="One model; else all of yours.", show_default=False)] = "") -> None:
    """Compare every file of your models with the checksum on its card."""
    store = user_store()
    table = Table("model", "file", "state", box=None, pad_edge=False, header_style="bold")
    bad: list[str] = []
    for model in [name] if name else store.names():
        try:
            files = store.check(model)
        except ModelError as error:
            files = {"card.json": error.message}
        for file, wrong in files.items():
            table.add_row(model, file, f"[red]{escape(wrong)}[/]" if wrong else "[green]ok[/]")
        if any(files.values()):
            bad.append(model)
    out.print(table if table.rows else "no models are installed")
    if bad:
        raise ModelError(
            f"not as they were when they were added: {', '.join(bad)}",
            hint=f"doppelcam models remove {bad[0]}, then add or pull it again",
        )


@app.command()
def remove(name: _Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Delete one of your models."""
    store = user_store()
    size = sum(file.stat().st_size for file in store.folder(name).iterdir())
    if not yes:
        if not asks():
            raise BadInput(f"{name} is not removed without being asked for", hint="--yes, where nobody can be asked")
        typer.confirm(f"Delete {name} ({_megabytes(size)})?", abort=True, err=True)
    store.remove(name)
    err.print(f"removed {name}, {_megabytes(size)}")


def _add_pack(folder: Path, licence: str) -> None:
    """Add what is known of a folder of models, such as InsightFace's buffalo_l; say what is not."""
    store, added, others = user_store(), 0, []
    names = {file: model for entry in catalogue().values() for file, model in entry.models.items()}
    for file in sorted(folder.glob("*.onnx")):
        sha256 = sha256_of(file)
        entry = by_sha256(sha256)
        name = entry.name if entry else names.get(file.name) or name_from(file.stem)
        if name in store.names():
            err.print(f"{escape(name)} is installed already", soft_wrap=True)
            added += 1
            continue
        try:
            _told(_adopt(store, file, sha256, name, licence))
            added += 1
        except (ModelError, BadInput) as error:
            others.append(f"{file.name}: {error.message}")
    for line in others:
        err.print(f"left out {escape(line)}", soft_wrap=True)
    if not added:
        raise ModelError(f"nothing in {folder} is of a kind that is known here", hint="doppelcam models add FILE")


def _adopt(
    store: Store, file: Path, sha256: str, name: str, licence: str = "", family: str = "", entry: Entry | None = None
) -> ModelCard:
    """Look at a foreign file in quarantine, recognise it, make its card and add it."""
    from engines.quarantine import inspect
    from live.families import EMAP_FILE
    from live.foreign import card_of, emap_of, recognise, signature_of, with_fixed_shapes

    check_name(name)  # before the long look
    found = inspect(file)
    if found.sha256 != sha256:
        raise ModelError(f"{file} changes while it is being looked at")
    what, facts = recognise(signature_of(found), file.name, sha256, entry.family if entry else family)
    extras = {EMAP_FILE: emap_of(file)} if facts.get("emap") == EMAP_FILE else {}
    card = card_of(what, facts, file, sha256, licence, entry)
    if all(port.static for port in (*found.inputs, *found.outputs)):
        return store.add_file(name, file, card, extras)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / file.name
        copy.write_bytes(with_fixed_shapes(file, facts))
        err.print(f"the sizes that {file.name} leaves open are now those of one picture", soft_wrap=True)
        return store.add_file(name, copy, card, extras)


def _consent(entry: Entry, accepted: bool) -> None:
    """Ask before a licence that forbids or does not clearly allow commercial use. Raises BadInput, typer.Abort."""
    if entry.commercial_use or accepted:
        return
    what = (
        f"{entry.name}: licence {entry.licence!r}, which does not allow commercial use, or not clearly ({entry.page})"
    )
    if not asks():
        raise BadInput(what, hint="if you keep to it: --accept-licence")
    err.print(escape(what), soft_wrap=True)
    typer.confirm("Do you keep to it?", abort=True, err=True)


@contextmanager
def _download(store: Store, entry: Entry) -> Iterator[tuple[Path, str]]:
    """The downloaded file and its sha256. It goes when it has been added; what is cut off stays to be resumed."""
    from engines.download import Download

    target = store.root / ".downloads" / entry.file
    wish = Download(entry.url, sha256=entry.sha256 or None, size=entry.size or None)
    if entry.sha256 and target.is_file() and sha256_of(target) == entry.sha256:
        sha256 = entry.sha256  # adding it failed the last time
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
            bar = bars.add_task(entry.name, total=entry.size or None)
            try:
                sha256 = wish.to(target, lambda done, total: bars.update(bar, completed=done, total=total))
            except KeyboardInterrupt:
                err.print("what has arrived is kept: the same command goes on from there")
                raise
    try:
        yield target, sha256
    except ModelError:
        target.unlink(missing_ok=True)
        raise
    target.unlink(missing_ok=True)


@contextmanager
def _unpacked(archive: Path, member: str) -> Iterator[Path]:
    """One file out of a zip, by its bare name, beside the zip; deleted afterwards. Raises ModelError."""
    target = archive.with_name(member)
    try:
        with zipfile.ZipFile(archive) as pack:
            found = [info for info in pack.infolist() if Path(info.filename).name == member]
            if len(found) != 1 or found[0].file_size > _MOST_MEMBER_BYTES:
                raise ModelError(f"{archive.name} does not hold the {member} that is expected")
            with pack.open(found[0]) as stream, target.open("wb") as written:
                while block := stream.read(1 << 20):
                    written.write(block)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"{archive.name} is no zip that can be read: {error}") from error
    try:
        yield target
    finally:
        target.unlink(missing_ok=True)


def _lacking(store: Store, name: str, needs: object) -> list[str]:
    """A line about what this model is of no use without and what is not installed, if there is such.

    `needs` may come from a stranger's card.
    """
    lacks = [str(need) for need in needs if need not in store.names()] if isinstance(needs, (list, tuple)) else []
    return [f"{name} needs besides: {', '.join(lacks)}"] if lacks else []


def _not_shipped(name: str) -> None:
    from live.personas.packs import user_packs

    if name.casefold() in shipped_names():
        raise BadInput(f"{name!r} is a model that comes with doppelcam", hint="call yours something else: --name")
    if name.casefold() in (face.casefold() for face in user_packs().names()):
        raise BadInput(f"{name!r} is one of your faces, and --face could mean either", hint="call it --name OTHER")


def _row(table: Table, name: str, kind: str, size: int, has: ModelCard | Entry, state: str) -> None:
    use = "[green]yes[/]" if has.commercial_use else "[yellow]no[/]"
    table.add_row(escape(name), escape(kind), _megabytes(size) if size else "", escape(has.licence), use, state)


def _told(card: ModelCard) -> None:
    use = "commercial use allowed" if card.commercial_use else "no commercial use"
    err.print(
        f"added {escape(card.name)}: {escape(card.family)}, licence {escape(card.licence)}, {use}", soft_wrap=True
    )


def _size_of(card: ModelCard) -> int:
    files = (card.folder / file for file in card.sha256)
    return sum(file.stat().st_size for file in files if file.is_file())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size < 100e6 else f"{size / 1e6:.0f} MB"
