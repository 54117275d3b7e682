#!/usr/bin/env python3
"""Kernel modules for a guest, with all that they depend on.

modules.py copy MODULES ROOT NAME...            into a guest's root
modules.py initrd MODULES FILE BUSYBOX NAME...  as a small initial RAM disk that loads them, mounts root= and goes on

MODULES is a folder lib/modules/VERSION. A name that is no module is taken to be built in.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOOL = Path(__file__).parent / "tool"

INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for word in $(cat /proc/cmdline); do case $word in root=*) root=${word#root=} ;; esac; done
for module in MODULES; do insmod /modules/$module; done
tries=0
while [ ! -b "$root" ] && [ $tries -lt 600 ]; do sleep 0.1; tries=$((tries + 1)); done
mount -o rw,noatime "$root" /root || { echo "cannot mount $root"; ls /dev; poweroff -f; }
mount --move /dev /root/dev
umount /proc
mount --move /sys /root/sys
exec switch_root /root /sbin/init
"""


def main() -> int:
    """One of the two."""
    what, modules, place, *names = sys.argv[1:]
    folder = Path(modules)
    if what == "copy":
        copy(folder, Path(place), names)
    else:
        initrd(folder, Path(place), Path(names[0]), names[1:])
    return 0


def needed(folder: Path, names: list[str]) -> list[str]:
    """The files of these modules below `folder`, each after those that it depends on."""
    if not (folder / "modules.dep").exists():
        base = str(folder).partition("/lib/modules")[0] if folder.is_absolute() else str(folder.parents[2])
        subprocess.run([TOOL, "depmod", "-b", Path(base).resolve(), folder.name], check=True)
    lines = (line.split(":") for line in (folder / "modules.dep").read_text().splitlines())
    depends = {file: rest.split() for file, rest in lines}
    called = {Path(file).name.split(".ko")[0].replace("-", "_"): file for file in depends}
    order: list[str] = []

    def add(file: str) -> None:
        for other in depends[file]:
            add(other)
        if file not in order:
            order.append(file)

    for name in names:
        if file := called.get(name.replace("-", "_")):
            add(file)
        else:
            print(f"modules: {name} is built in, or not there", file=sys.stderr)
    return order


def copy(folder: Path, root: Path, names: list[str]) -> None:
    """Into a guest's root."""
    target = root / "lib/modules" / folder.name
    for file in needed(folder, names):
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / file, target / file)
    for file in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copy(folder / file, target)


def initrd(folder: Path, file: Path, busybox: Path, names: list[str]) -> None:
    """A gzipped cpio archive."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name in ("bin", "dev", "proc", "sys", "root", "modules"):
            (root / name).mkdir()
        shutil.copy(busybox, root / "bin/busybox")
        loaded = [unpacked(folder / module, root / "modules") for module in needed(folder, names)]
        (root / "init").write_text(INIT.replace("MODULES", " ".join(loaded)))
        (root / "init").chmod(0o755)
        archive = f"find . | {TOOL.resolve()} cpio -o -H newc --quiet | gzip -1 >{file.resolve()}"
        subprocess.run(archive, shell=True, cwd=root, check=True)


def unpacked(module: Path, folder: Path) -> str:
    """Put it there, without its compression; its name."""
    name = module.name.removesuffix(".xz")
    if module.suffix == ".xz":
        (folder / name).write_bytes(subprocess.run(["xz", "-dc", module], check=True, capture_output=True).stdout)
    else:
        shutil.copy(module, folder / name)
    return name


if __name__ == "__main__":
    sys.exit(main())
