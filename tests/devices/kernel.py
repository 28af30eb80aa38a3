"""The test bed's kernel: User Mode Linux with v4l2loopback and vivid (a test camera) built in. Built once, then kept.

    python -m tests.devices.kernel        builds it if need be (about four minutes of one processor), prints its path

Its sources are Debian's packages linux-source-6.1 and v4l2loopback-dkms, fetched by `apt-get download`; nothing is
installed, nobody has to be root. It needs nothing but the standard library, so that `.ci/run` can start it early.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Asked when this module is imported: tests move the user's folders elsewhere, and the kernel shall outlive them.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "doppelcam" / "devices"

LINUX, LOOPBACK = "linux-source-6.1", "v4l2loopback-dkms"
TOOLS = ("apt-get", "bc", "bison", "dpkg-deb", "flex", "gcc", "make", "strip", "tar", "xz")

# Changes to the kernel's own default for User Mode Linux. The made-up PCI bus is what makes media drivers selectable.
OFF = """
AUTOFS_FS BTRFS_FS DEBUG_INFO DEBUG_KERNEL EXT4_FS IPV6 ISO9660_FS MEDIA_ANALOG_TV_SUPPORT MEDIA_DIGITAL_TV_SUPPORT
MEDIA_RADIO_SUPPORT MEDIA_SDR_SUPPORT MEDIA_SUBDRV_AUTOSELECT MEDIA_SUPPORT_FILTER MODULES NETDEVICES QUOTA REISERFS_FS
SOUND UML_NET WLAN
"""
ON = """
DEBUG_INFO_NONE DEVTMPFS FB HIGH_RES_TIMERS HOSTFS INET MEDIA_SUPPORT MEDIA_TEST_SUPPORT NET NO_HZ_IDLE PCI TMPFS
UML_PCI_OVER_VIRTIO UNIX V4L_TEST_DRIVERS VIDEO_DEV VIDEO_VIVID VIRTIO_UML
"""
# What is big and never compiled here; its Kconfig files must stay.
LEFT_OUT = """
*/Documentation/*/* */tools/testing *.dts* */sound/*.[ch] */drivers/gpu/drm/*/*.[ch] */drivers/net/*/*.[ch]
*/drivers/scsi/*.[ch] */drivers/staging/*.[ch] */drivers/infiniband/*.[ch]
"""


class Missing(Exception):
    """What this machine lacks to build the kernel, in one line."""


def kernel() -> Path:
    """The kernel for the sources that apt offers now; built first where the cache has none. Raises Missing."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise Missing("User Mode Linux runs on Linux on x86-64 only")
    import fcntl  # Linux only

    if absent := [tool for tool in TOOLS if shutil.which(tool) is None]:
        raise Missing(f"not installed: {', '.join(absent)}")
    finished = CACHE / f"linux-{_key()}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes second waits, and finds it built
        if not finished.exists():
            for left in CACHE.glob("build-*"):  # of a build that was killed
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix="build-", dir=CACHE, ignore_cleanup_errors=True) as folder:
                _build(Path(folder), finished)
    return finished


def _key() -> str:
    """A hash of all that the kernel is made from: this recipe and the two packages."""
    shown = subprocess.run(
        ["apt-cache", "show", "--no-all-versions", LINUX, LOOPBACK], capture_output=True, text=True, check=False
    ).stdout
    sums = [line for line in shown.splitlines() if line.startswith("SHA256:")]
    if len(sums) != 2:
        raise Missing(f"apt offers no {LINUX} or no {LOOPBACK} (apt-get update?)")
    recipe = [OFF, ON, inspect.getsource(_build), *sums]
    return hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:16]


def _build(folder: Path, finished: Path) -> None:
    def do(*command: str, cwd: Path = folder) -> None:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"{' '.join(command[:3])} failed: {done.stderr.strip()[-800:]}")

    # The user _apt may not look into this folder; apt says so and carries on.
    do("apt-get", "-qq", "download", LINUX, LOOPBACK)
    for package in folder.glob("*.deb"):
        do("dpkg-deb", "-x", str(package), ".")
        package.unlink()
    skipped = [f"--exclude={pattern}" for pattern in LEFT_OUT.split()]
    do("tar", "xf", f"usr/src/{LINUX}.tar.xz", *skipped)
    tree = folder / LINUX
    drivers = tree / "drivers/media/test-drivers"
    for source in folder.glob("usr/src/v4l2loopback-*/v4l2loopback*.[ch]"):
        shutil.copy(source, drivers)
    with (drivers / "Makefile").open("a") as makefile:
        makefile.write("obj-y += v4l2loopback.o\n")
    make = ("make", "-s", "ARCH=um", f"-j{os.cpu_count() or 1}")
    do(*make, "x86_64_defconfig", cwd=tree)
    choices = [word for name in OFF.split() for word in ("-d", name)] + [
        word for name in ON.split() for word in ("-e", name)
    ]
    do("scripts/config", *choices, "--set-val", "UML_PCI_OVER_VIRTIO_DEVICE_ID", "1234", cwd=tree)
    do(*make, "olddefconfig", cwd=tree)
    config = (tree / ".config").read_text()
    if lost := [name for name in ("VIDEO_VIVID", "HOSTFS", "INET", "UNIX") if f"CONFIG_{name}=y" not in config]:
        raise Missing(f"{LINUX} does not take the options {', '.join(lost)}")
    do(*make, "linux", cwd=tree)
    do("strip", "-o", "stripped", str(tree / "linux"))
    (folder / "stripped").replace(finished)


if __name__ == "__main__":
    try:
        print(kernel())  # noqa: T201
    except Missing as missing:
        sys.exit(f"no kernel for the device tests: {missing}")
