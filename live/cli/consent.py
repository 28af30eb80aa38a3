"""`doppelcam consent`: agree, on your own machine, that somebody wears your face; look at it, and take it back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from engines.errors import BadInput
from live.cli.faces import counted, hold_challenge, read_document
from live.cli.output import check_target, write_whole
from live.cli.screen import err, out

app = typer.Typer(
    name="consent",
    help="Let somebody else wear your face: a signed file, made here, that they add to theirs.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_File = Annotated[Path, typer.Argument(help="The consent file.")]


@app.command()
def key() -> None:
    """Print your public key, by which consents are given to you."""
    from live.personas.packs import user_packs
    from live.personas.signed import fingerprint

    mine = user_packs().vault.public_key()
    out.print(mine, soft_wrap=True)
    err.print(f"in short, to compare by phone: [bold]{fingerprint(mine)}[/]")


@app.command()
def give(
    what: Annotated[list[str], typer.Argument(help="The picture files, or model:FINGERPRINT of a trained model.")],
    me: Annotated[str, typer.Option("--me", help="Your name, as the wearer knows it.")],
    to: Annotated[str, typer.Option("--to", help="Who may wear it: a name.")],
    their_key: Annotated[str, typer.Option("--key", help="Their key: what doppelcam consent key prints there.")],
    out_file: Annotated[Path, typer.Option("--out", help="Where to write the consent.")],
    until: Annotated[str, typer.Option("--until", help="Last day, e.g. 2027-03-31; at most twelve months.")] = "",
    uses: Annotated[str, typer.Option("--for", help="What for: live, stream, record.")] = "live",
    camera: Annotated[str, typer.Option("--camera", help="Your camera, as for run --source.")] = "camera",
    no_camera: Annotated[bool, typer.Option("--no-camera", help="Do not show that it is you in the picture.")] = False,
) -> None:
    """Agree that somebody wears your face, and prove before your camera that it is yours."""
    from live.app import opened_finder
    from live.personas import consent, enrol
    from live.personas.packs import latest, now, user_packs
    from live.personas.signed import fingerprint

    check_target(out_file, "the consent")
    pictures = [Path(one).expanduser() for one in what if not one.startswith("model:")]
    models = [one.removeprefix("model:").strip().lower() for one in what if one.startswith("model:")]
    their_key, ends = their_key.strip().lower(), enrol.last_day(until) if until else latest(now())
    scope = [use.strip() for use in uses.split(",") if use.strip()]
    vault, shown = user_packs().vault, ""

    def made(challenge: str, digests: list[str]) -> consent.Consent:
        return consent.give(vault.signing_key(), person=me, wearer=to, wearer_key=their_key, until=ends,
                            photos=digests, models=models, scope=scope, challenge=challenge)  # fmt: skip

    made("", ["0" * 64])  # what is wrong with the words is told before anybody sits down
    photos = enrol.Photos((), ())
    if pictures:
        with opened_finder() as finder:
            each = [enrol.take(picture, finder) for picture in pictures]
            photos = enrol.Photos(sum((one.views for one in each), ()), sum((one.digests for one in each), ()))
            if not no_camera:
                shown = hold_challenge(photos, camera, finder)
    given = made(shown, list(photos.digests))
    write_whole(out_file, given.document, "the consent")
    err.print(
        f"wrote {escape(str(out_file))}: {escape(to)} may wear this face until {given.until:%Y-%m-%d}; "
        f"your key is [bold]{fingerprint(given.key)}[/]",
        soft_wrap=True,
    )
    err.print(f"keep it: doppelcam consent withdraw {escape(str(out_file))} takes it back", soft_wrap=True)


@app.command()
def show(file: _File) -> None:
    """Verify a consent and print what is in it."""
    from live.personas.consent import SCOPE, read_consent
    from live.personas.packs import now
    from live.personas.signed import fingerprint

    held = read_consent(read_document(file, "consent"), file.name)
    rows = {
        "person": f"{held.person}, key {fingerprint(held.key)}",
        "wearer": f"{held.wearer}, key {fingerprint(held.wearer_key)}",
        "to": "; ".join(SCOPE[use] for use in held.scope),
        "of": f"{counted(len(held.photos), 'picture')}, {counted(len(held.models), 'model')}",
        "given": f"{held.given:%Y-%m-%d %H:%M} UTC",
        "until": f"{held.until:%Y-%m-%d %H:%M} UTC" + (" (over)" if now() >= held.until else ""),
        "shown by": held.challenge or "nothing: the person did not show to be the one in the picture",
        "signature": "right",
    }
    for title, value in rows.items():
        out.print(f"[bold]{title:<9}[/] {escape(value)}", soft_wrap=True)


@app.command()
def withdraw(
    file: _File,
    out_file: Annotated[Path | None, typer.Option("--out", help="Where to write it; else beside the consent.")] = None,
) -> None:
    """Take a consent back that you gave here: a file to send to the wearer."""
    from live.personas.consent import read_consent
    from live.personas.consent import withdraw as taken_back
    from live.personas.packs import user_packs

    held = read_consent(read_document(file, "consent"), file.name)
    target = out_file or file.with_suffix(".withdrawal")
    if target.expanduser().resolve() == file.expanduser().resolve():
        raise BadInput("the withdrawal would overwrite the consent", hint="give another file: --out")
    check_target(target, "the withdrawal")
    write_whole(target, taken_back(held, user_packs().vault.signing_key()), "the withdrawal")
    err.print(
        f"wrote {escape(str(target))}: send it to {escape(held.wearer)}; what they added by your consent cannot be "
        "worn any more once they take it in (doppelcam faces withdraw FILE), and after its last day in any case",
        soft_wrap=True,
    )
