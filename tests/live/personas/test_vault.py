"""The secret of the faces: where it lies, who may read it, and that nothing opens without it."""

from __future__ import annotations

import stat

import pytest

from engines.errors import BadInput, NotAvailable
from live.personas import vault as module
from live.personas.vault import Vault


@pytest.fixture
def vault(tmp_path):
    return Vault(tmp_path / "v" / "faces")


class Ring:
    """A keyring in memory; `broken` breaks one of its verbs."""

    priority = 5

    def __init__(self, broken=""):
        self.held, self.broken = {}, broken

    def set_password(self, service, user, password):
        if self.broken == "set":
            raise RuntimeError("locked")
        self.held[service, user] = password

    def get_password(self, service, user):
        if self.broken == "get":
            raise RuntimeError("the collection is locked\nat /usr/lib")
        return self.held.get((service, user))

    def delete_password(self, service, user):
        del self.held[service, user]


@pytest.fixture
def ring(monkeypatch):
    def put(*a):
        ring = Ring(*a)
        monkeypatch.setattr(module, "_keyring", lambda: ring)
        return ring

    return put


def test_what_was_sealed_opens_under_its_name_only(vault):
    sealed = vault.seal("anna", b"portrait")
    assert b"portrait" not in sealed
    assert vault.unseal("anna", sealed) == b"portrait"
    with pytest.raises(BadInput, match="'berta' is damaged, or was not made by this user"):
        vault.unseal("berta", sealed)
    assert vault.seal("anna", b"portrait") != sealed


@pytest.mark.parametrize("at", [0, 9, 25, 40, -1])
def test_any_changed_byte_is_noticed(vault, at):
    sealed = bytearray(vault.seal("anna", b"portrait"))
    sealed[at] ^= 1
    with pytest.raises(BadInput, match="damaged"):
        vault.unseal("anna", bytes(sealed))


@pytest.mark.parametrize("size", [0, 3, 8, 20, 35, 36, 50])
def test_a_torn_file_is_noticed(vault, size):
    with pytest.raises(BadInput, match="damaged"):
        vault.unseal("anna", vault.seal("anna", b"portrait")[:size])


def test_without_a_keyring_the_secret_is_a_file_for_the_user_alone(vault):
    vault.seal("anna", b"")
    file = vault.folder / "key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(vault.folder.stat().st_mode) == 0o700
    assert vault.place() == f"the file {file}"
    assert vault.public_key() == Vault(vault.folder).public_key()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_secret_that_others_can_read_is_not_used(vault, mode):
    vault.public_key()
    (vault.folder / "key").chmod(mode)
    with pytest.raises(NotAvailable, match="others have access") as caught:
        vault.public_key()
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("data", [b"", b"short", b"x" * 33])
def test_a_damaged_secret_is_told(vault, data):
    vault.public_key()
    (vault.folder / "key").write_bytes(data)
    with pytest.raises(NotAvailable, match="is damaged"):
        vault.public_key()


def test_a_secret_behind_a_link_is_not_followed(vault, tmp_path):
    vault.public_key()
    (vault.folder / "key").rename(tmp_path / "elsewhere")
    (vault.folder / "key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotAvailable, match="cannot be read"):
        vault.public_key()


def test_with_a_keyring_there_is_no_file(vault, ring):
    held = ring().held
    sealed = vault.seal("anna", b"portrait")
    assert not (vault.folder / "key").exists()
    assert len(held) == 1 and vault.place() == "the system's keyring"
    assert vault.unseal("anna", sealed) == b"portrait"


@pytest.mark.parametrize("broken", ["set", "get"])
def test_a_keyring_that_does_not_keep_it_leaves_a_file(vault, ring, broken, monkeypatch):
    ring("set")
    vault.public_key()
    assert (vault.folder / "key").is_file()
    ring(broken)  # and from now on the file is enough
    assert vault.public_key()


def test_a_locked_keyring_is_told(vault, ring):
    ring("get")
    with pytest.raises(NotAvailable, match=r"does not open: the collection is locked$") as caught:
        vault.public_key()
    assert "unlock" in caught.value.hint


@pytest.mark.parametrize("keyring", [False, True])
def test_once_destroyed_nothing_opens(vault, ring, keyring):
    held = ring().held if keyring else {}
    sealed, key = vault.seal("anna", b"portrait"), vault.public_key()
    assert vault.destroy()
    assert not held and vault.place() == "" and vault.destroy() == ""
    with pytest.raises(BadInput, match="key to your faces is gone"):
        vault.unseal("anna", sealed)
    assert vault.public_key() != key


def test_back_ends_that_keep_nothing_or_plain_text_do_not_count(monkeypatch):
    import keyring
    from keyring.backends import fail, null

    class Plain:
        priority = 0.5

    for backend in (Plain(), fail.Keyring(), null.Keyring()):
        monkeypatch.setattr(keyring, "get_keyring", lambda backend=backend: backend)
        assert module._keyring() is None
