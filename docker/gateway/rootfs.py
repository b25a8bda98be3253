"""Collects what one virtual environment needs to run into a folder that becomes the whole image.

Run inside the build stage: the interpreter, its standard library, the shared libraries that they link,
certificates and a user. No shell, no package manager, no pip: a third of the base image and most of its
vulnerabilities stay behind. What came from Debian is noted in `var/lib/dpkg/status.d`, where scanners look.

    python rootfs.py VENV DESTINATION
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

# Parts of the standard library that a server never imports.
LEFT_OUT = (
    "test", "tests", "idlelib", "idle_test", "tkinter", "turtledemo", "turtle.py", "lib2to3", "ensurepip",
    "pydoc_data",
    "site-packages", "dist-packages", "config-*", "*.opt-1.pyc", "*.opt-2.pyc",
)  # fmt: skip
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
USER_ID = 65532
LIBRARY = re.compile(r"(/\S+) \(0x")  # in the lines of ldd


def main() -> None:
    venv, root = Path(sys.argv[1]), Path(sys.argv[2])
    standard = Path(sysconfig.get_path("stdlib"))
    interpreter = Path(sys.executable).resolve()
    shutil.copytree(venv, _inside(root, venv), symlinks=True)
    shutil.copytree(
        standard, _inside(root, standard), symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT)
    )
    files = {
        interpreter,
        Path(CERTIFICATES),
        *_libraries([interpreter, *_binaries(venv), *_binaries(standard)]),
    }
    files = {file for file in files if not file.is_relative_to(venv)}
    for file in files:
        _copy(file, root)
    _link_interpreter(venv, interpreter, root)
    _write_system_files(root)
    _note_packages({*files, standard / "os.py"}, root)


def _inside(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _binaries(tree: Path) -> list[Path]:
    return [path for path in tree.rglob("*.so*") if path.is_file() and not path.is_symlink()]


def _libraries(binaries: Iterable[Path]) -> set[Path]:
    """Everything that the binaries link, the dynamic loader too, under the names they link it by."""
    found: set[Path] = set()
    for binary in binaries:
        told = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False).stdout
        if "not found" in told:
            raise SystemExit(f"{binary} links what is not there:\n{told}")
        found |= {Path(match) for match in LIBRARY.findall(told)}
    return found


def _copy(file: Path, root: Path) -> None:
    """A file under its name; behind a link its content, so that each name stands for itself."""
    target = _inside(root, _merged(file))
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy2(file.resolve(), target)


def _merged(file: Path) -> Path:
    """/lib and /bin are links to /usr/lib and /usr/bin; the image has the same links."""
    return Path("/usr") / file.relative_to("/") if file.parts[1] in {"lib", "lib64", "bin"} else file


def _link_interpreter(venv: Path, interpreter: Path, root: Path) -> None:
    """The venv's `python` points to a chain of links; let it point straight at the interpreter."""
    for name in ("python", "python3"):
        link = _inside(root, venv) / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(interpreter)


def _write_system_files(root: Path) -> None:
    for name in ("lib", "lib64", "bin"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    etc = root / "etc"
    etc.mkdir(exist_ok=True)
    (etc / "passwd").write_text(f"root:x:0:0::/:/none\nsightline:x:{USER_ID}:{USER_ID}::/tmp:/none\n")
    (etc / "group").write_text(f"root:x:0:\nsightline:x:{USER_ID}:\n")
    (etc / "nsswitch.conf").write_text("hosts: files dns\n")
    temporary = root / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)
    for folder in ("proc", "sys", "dev"):
        (root / folder).mkdir()
    subprocess.run(["ldconfig", "-r", root], check=True)


def _note_packages(files: Iterable[Path], root: Path) -> None:
    """Debian's packages that the files came from, as `dpkg -s` prints them."""
    packages: set[str] = set()
    for file in files:
        for name in {file, file.resolve(), Path(str(file.resolve()).removeprefix("/usr"))}:
            told = subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True, check=False)
            packages |= {line.partition(": ")[0] for line in told.stdout.splitlines() if ": /" in line}
    folder = root / "var/lib/dpkg/status.d"
    folder.mkdir(parents=True)
    for package in packages:
        status = subprocess.run(
            ["dpkg-query", "-s", package], capture_output=True, text=True, check=True
        ).stdout
        (folder / package.partition(":")[0]).write_text(status)


if __name__ == "__main__":
    main()
