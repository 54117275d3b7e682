#!/usr/bin/env python3
"""Builds stoker_VERSION_ARCH.deb for amd64 and arm64, on any Linux with pip and dpkg-deb: `make deb`.

Rule: the package brings everything that Debian and Raspberry Pi OS do not have in the right version, in
/usr/lib/stoker, where no other program's Python sees it. Pure packages lie there once, compiled ones once for each
Python that a supported release comes with; /usr/bin/stoker picks its own. Nothing is fetched at the installation.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEBIAN = Path(__file__).parent / "debian"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")  # Debian 12, Ubuntu 24.04, Debian 13, Ubuntu 26.04
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # Debian's name -> the wheels'
GLIBC = ("2_17", "2_28", "2_34")  # manylinux; Debian 12 has 2.36
EXTRAS = ("gpiochip", "metrics", "proxy")  # of pyproject.toml; systemd and lgpio are Debian's or Raspberry Pi OS's own
UNUSED = "setuptools-"  # colorzero names it and imports nothing of it
LGPIO = ("3.11", "3.12")  # has wheels for these; on newer ones Raspberry Pi OS's python3-lgpio does it


def main() -> int:
    """Build what was asked for and print where it is."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("arch", nargs="*", default=list(MACHINES), help="amd64, arm64 (default: both)")
    arguments.add_argument("--output", type=Path, default=ROOT / "dist")
    chosen = arguments.parse_args()
    chosen.output.mkdir(parents=True, exist_ok=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for arch in chosen.arch:
        print(build(project, arch, chosen.output))
    return 0


def build(project: dict, arch: str, output: Path) -> Path:
    """One package."""
    with tempfile.TemporaryDirectory() as scratch:
        tree, wheels = Path(scratch, "tree"), Path(scratch, "wheels")
        library = tree / "usr/lib/stoker"
        for python in PYTHONS:
            bundle(requirements(project, python), python, MACHINES[arch], wheels / python, library)
        place_our_own(tree, library)
        control(project, arch, tree)
        settle(tree)
        package = output / f"stoker_{project['version']}_{arch}.deb"
        command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, package]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"SOURCE_DATE_EPOCH": epoch()})
    return package


def requirements(project: dict, python: str) -> list[str]:
    """What pip is asked for: the project's own dependencies and the extras that go into the package."""
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(one for extra in EXTRAS for one in extras.get(extra, ()))]
    return wanted + (extras["pi"] if python in LGPIO else [])


def bundle(wanted: list[str], python: str, machine: str, wheels: Path, library: Path) -> None:
    """Download the wheels for one Python and unpack them: pure ones once for all, compiled ones apart."""
    platforms = [f"--platform=manylinux_{version}_{machine}" for version in GLIBC]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    command += ["--python-version", python, "--implementation=cp", *platforms]
    command += [f"--platform=manylinux2014_{machine}", f"--dest={wheels}", *wanted]
    subprocess.run(command, check=True)
    for wheel in sorted(wheels.glob("*.whl")):
        if wheel.name.startswith(UNUSED):
            continue
        pure = wheel.stem.endswith("-none-any")
        with zipfile.ZipFile(wheel) as file:
            file.extractall(library if pure else library / f"cp{python.replace('.', '')}")


def place_our_own(tree: Path, library: Path) -> None:
    """The program, its unit, its user, its documents."""
    skip = shutil.ignore_patterns("__pycache__")
    for package in (ROOT / "daemon/stoker", ROOT / "drivers/stoker_drivers"):
        shutil.copytree(package, library / package.name, ignore=skip)
    document = tree / "usr/share/doc/stoker"
    places = {
        DEBIAN / "stoker": "usr/bin/stoker",
        ROOT / "systemd/stoker.service": "usr/lib/systemd/system/stoker.service",
        ROOT / "systemd/notify-reload.conf": "usr/lib/stoker/notify-reload.conf",
        ROOT / "systemd/stoker.sysusers": "usr/lib/sysusers.d/stoker.conf",
        ROOT / "systemd/stoker.rules": "usr/lib/udev/rules.d/60-stoker.rules",
        ROOT / "etc/stoker.toml": "usr/share/doc/stoker/examples/stoker.toml",
        ROOT / "README.md": "usr/share/doc/stoker/README.md",
        ROOT / "CHANGELOG.md": "usr/share/doc/stoker/CHANGELOG.md",
        ROOT / "LICENSE": "usr/share/doc/stoker/copyright",
    }
    for source, place in places.items():
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, tree / place)
    shutil.copytree(ROOT / "docs", document / "docs")
    shutil.copytree(ROOT / "etc/examples", document / "examples", dirs_exist_ok=True)


def control(project: dict, arch: str, tree: Path) -> None:
    """DEBIAN/: the control file with its version and size, and what is run at installation and removal."""
    folder = tree / "DEBIAN"
    shutil.copytree(DEBIAN, folder, ignore=shutil.ignore_patterns("stoker", "control"))
    kibibytes = sum(file.stat().st_size for file in tree.rglob("*") if file.is_file()) // 1024
    text = (DEBIAN / "control").read_text().format(version=project["version"], arch=arch, size=kibibytes)
    (folder / "control").write_text(text)


def settle(tree: Path) -> None:
    """Modes and times as the source says, whatever the builder's umask and clock are."""
    at = int(epoch())
    for path in [tree, *tree.rglob("*")]:
        program = path.is_dir() or path.parent in (tree / "DEBIAN", tree / "usr/bin")
        path.chmod(0o755 if program and path.name != "control" else 0o644)
        os.utime(path, (at, at))


def epoch() -> str:
    """The time of the last commit: the same source gives the same package."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return os.environ.get("SOURCE_DATE_EPOCH") or done.stdout.strip() or str(int(Path(__file__).stat().st_mtime))


if __name__ == "__main__":
    sys.exit(main())
