"""Leaving no trace of any face: the key first, then packs, caches made from faces, and records where asked for.

Once the key is destroyed, sealed packs are noise, wherever an old disk block, a backup or a snapshot still holds them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import platformdirs

from engines.errors import ModelError
from engines.store import user_store
from live import session
from live.personas.packs import Packs


def trained_models() -> list[str]:
    """Names of the user's trained models: somebody's face is in each."""
    store, names = user_store(), []
    for name in store.names():
        try:
            kind = store.card(name).facts.get("kind")
        except ModelError:
            continue
        if kind == "trained":
            names.append(name)
    return names


def wipe(packs: Packs, *, models: bool = False, sessions: bool = False) -> list[str]:
    """Remove every face of this user; a line for each thing that is gone. `models`: trained ones too; `sessions`: the
    record of what was worn too. Raises NotAvailable and BadInput where something cannot be removed.
    """
    gone: list[str] = []
    if where := packs.vault.destroy():
        gone.append(f"the key to the faces, {where}: nothing sealed with it can be opened any more")
    names = packs.names()
    files = sorted(path for path in packs.folder.glob("*") if path.is_file()) if packs.folder.is_dir() else []
    size = sum(path.stat().st_size for path in files)
    if packs.folder.is_dir():
        shutil.rmtree(packs.folder)
    if names:
        gone.append(f"the faces {', '.join(names)} ({size / 1e6:.1f} MB)")
    elif files:
        gone.append(f"what was left in {packs.folder}")
    gone += _caches(trained_models())
    if models:
        for name in trained_models():
            user_store().remove(name)
            gone.append(f"the trained model {name}")
    if sessions and session.path().exists():
        gone.append(f"the record of sessions ({session.forget()})")
    return gone


def _caches(trained: list[str]) -> list[str]:
    """What runtimes made of trained models: plans (nobody can say of which model), and what was measured of them."""
    cache, gone = platformdirs.user_cache_path("doppelcam"), []
    plans = list((cache / "plans").glob("*.plan")) if trained else []
    measured: list[Path] = [path for name in trained for path in (cache / "choices").glob(f"{name}-*.json")]
    for path in [*plans, *measured]:
        path.unlink(missing_ok=True)
    if plans:
        gone.append(f"compiled models ({len(plans)}) in {cache / 'plans'}; they are built again when needed")
    if measured:
        gone.append(f"what was measured of trained models ({len(measured)}) in {cache / 'choices'}")
    return gone
