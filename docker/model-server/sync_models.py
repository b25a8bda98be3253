"""Brings model versions from an object store to the folder that Serving reads, each one examined first.

A version is copied beside the served ones under a name that Serving passes over, examined by
`sightline doctor`, and gets its number only if it passes. So what Serving can see is whole and sound, however
this ends. A version that fails is not tried again until it changes in the store.

    python sync_models.py --source s3://bucket/droids --models /models/droids [--keep 3] [--config FILE]

Exit codes: 0 all is well, 1 a version failed its examination, 2 wrong arguments, 3 the store failed.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import fsspec

DOCTOR = ("sightline", "doctor")
INCOMING = ".incoming-"  # before a version's number: no number, so no version to Serving
REFUSED = ".refused-"  # a file that says which state of a version failed, and why
_VERSIONS = re.compile(r"\bversions\s*:\s*(\d+)")  # in a ServableVersionPolicy.Specific
FAILED, WRONG, STORE = 1, 2, 3  # exit codes


def main(arguments: list[str] | None = None) -> int:
    """Copy, examine, rename; the exit code."""
    options = _parse(arguments)
    models: Path = options.models
    try:
        store, root = fsspec.core.url_to_fs(options.source)
        models.mkdir(parents=True, exist_ok=True)
        _clear(models)
        offered = _versions(store, root)
        if not offered:
            print(f"{options.source} holds no version: folders with a number for a name", file=sys.stderr)
            return STORE
        wanted = sorted(offered)[-options.keep :]
        failed = [number for number in wanted if not _bring(store, offered[number], number, models)]
    except (OSError, ValueError, ImportError) as fault:
        print(f"{options.source}: {type(fault).__name__}: {fault}", file=sys.stderr)
        return STORE
    _remove_old(models, options.keep, _named(options.config))
    return FAILED if failed else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", required=True, help="folder of versions: s3://…, https://…, a path")
    parser.add_argument("--models", required=True, type=Path, help="folder that Serving reads")
    parser.add_argument("--keep", type=int, default=3, help="so many of the newest versions [3]")
    parser.add_argument("--config", type=Path, help="Serving's models.config: versions named in it stay")
    options = parser.parse_args(arguments)
    if options.keep < 1:
        parser.error("--keep is at least 1")
    return options


def _versions(store: fsspec.AbstractFileSystem, root: str) -> dict[int, str]:
    """Number -> path, of what looks like a version and is whole enough to have a saved_model.pb."""
    found = {}
    for path in store.ls(root, detail=False):
        name = str(path).rstrip("/").rpartition("/")[2]
        if name.isdecimal() and store.exists(f"{path}/saved_model.pb"):
            found[int(name)] = str(path)
    return found


def _state(store: fsspec.AbstractFileSystem, path: str) -> str:
    """Changes when any file of a version does."""
    files = store.find(path, detail=True)
    return json.dumps(sorted((name, info.get("size"), str(_mark(info))) for name, info in files.items()))


def _mark(info: dict[str, object]) -> object:
    return info.get("ETag") or info.get("mtime") or info.get("LastModified")


def _bring(store: fsspec.AbstractFileSystem, path: str, number: int, models: Path) -> bool:
    target, note = models / str(number), models / f"{REFUSED}{number}"
    if target.exists():
        return True
    state = _state(store, path)
    if note.exists() and note.read_text(encoding="utf-8").startswith(state):
        print(f"{number}: refused before, and has not changed in the store", file=sys.stderr)
        return False
    incoming = models / f"{INCOMING}{number}"
    # Doctor looks at MODEL/VERSION, so the copy has that shape too.
    copy = incoming / models.name / str(number)
    copy.parent.mkdir(parents=True)
    print(f"{number}: copying", flush=True)
    store.get(path, str(copy), recursive=True)
    done = subprocess.run([*DOCTOR, str(copy)], capture_output=True, text=True, check=False)
    print(done.stdout, end="", flush=True)
    if done.returncode:
        note.write_text(f"{state}\n{done.stdout}{done.stderr}", encoding="utf-8")
        print(f"{number}: refused by the examination\n{done.stderr}", file=sys.stderr, end="")
    else:
        note.unlink(missing_ok=True)
        copy.rename(target)
        print(f"{number}: ready to be served", flush=True)
    shutil.rmtree(incoming)
    return done.returncode == 0


def _clear(models: Path) -> None:
    """What an earlier run left when it was ended."""
    for folder in models.glob(f"{INCOMING}*"):
        shutil.rmtree(folder)


def _named(config: Path | None) -> set[int]:
    """The versions that Serving is told to load: those of any model, which is one too many at worst."""
    if config is None or not config.is_file():
        return set()
    return {int(number) for number in _VERSIONS.findall(config.read_text(encoding="utf-8"))}


def _remove_old(models: Path, keep: int, named: set[int]) -> None:
    numbers = sorted(int(folder.name) for folder in models.iterdir() if folder.name.isdecimal())
    for number in sorted(set(numbers[:-keep]) - named):
        shutil.rmtree(models / str(number))
        print(f"{number}: removed, {keep} newer ones are there", flush=True)


if __name__ == "__main__":
    sys.exit(main())
