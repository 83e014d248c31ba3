"""The package locks of the agents that the tests drive: tests/agents/NAME/package-lock.json.

A lock names the program's package for each platform, with its hash, whatever machine it was made on: npm
leaves out what the registry did not answer for, and `npm ci` then refuses the lock, or installs an agent
without its program, on the machines that would have needed it. Nothing here installs or runs a package.
"""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

# What the names of packages say of their platform, in npm's own words.
PLATFORM = re.compile(r"-(linux|linuxmusl|darwin|win32|windows|freebsd|android)-(x64|arm64|arm|ia32)\b(.*)$")
HASH = re.compile(r"sha512-[A-Za-z0-9+/]{86}==")


class Incomplete(Exception):
    """The lock stays as it is; the text says why."""


def directories(root, package):
    """The directories of the tests that pin this package."""
    for manifest in sorted(Path(root, "tests", "agents").glob("*/package.json")):
        if package in pinned(json.loads(manifest.read_text())):
            yield manifest.parent


def pinned(manifest):
    """What a package.json pins, and at which version."""
    return {**manifest.get("devDependencies", {}), **manifest.get("dependencies", {})}


def renewed(directory, package, version, hashes):
    """The directory's package.json and lock as texts, with this version of the package. `hashes` has the
    integrity of what the registry may not answer for, by name and version."""
    old = json.loads(Path(directory, "package-lock.json").read_text())
    manifest = json.loads(Path(directory, "package.json").read_text())
    for kind in ("dependencies", "devDependencies"):
        if package in manifest.get(kind, {}):
            manifest[kind][package] = version
    manifest = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    new = complete(made_by_npm(manifest), {**known(old), **hashes})
    lost = sorted(platforms(old) - platforms(new))
    if lost:
        raise Incomplete(f"the lock of {Path(directory).name} loses {', '.join(lost)}")
    return manifest, json.dumps(new, indent=2, ensure_ascii=False) + "\n"


def made_by_npm(manifest):
    """A lock for this package.json, as npm makes it without an older one: an older one's list of
    platforms would be kept as it is."""
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "package.json").write_text(manifest)
        command = [os.environ.get("NPM", "npm"), "install", "--package-lock-only", "--ignore-scripts"]
        command += ["--omit-lockfile-registry-resolved", "--no-audit", "--no-fund"]
        run = subprocess.run(command, cwd=scratch, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if run.returncode != 0:
            raise Incomplete(f"npm install --package-lock-only failed: {run.stderr.strip()[:500]}")
        return json.loads(Path(scratch, "package-lock.json").read_text())


def complete(lock, hashes):
    """The lock with an entry for each platform that its packages name, and the hashes that are known."""
    packages = dict(lock["packages"])
    for owner, place, name, wanted in missing(lock):
        packages[place] = entry(owner, name, wanted)
    for place, found in packages.items():
        integrity = hashes.get((name_of(place, found), found.get("version")))
        if place and "integrity" not in found and integrity:
            # Where npm writes it.
            packages[place] = {"version": found["version"], "integrity": integrity, **found}
    return {**lock, "packages": {place: packages[place] for place in sorted(packages)}}


def missing(lock):
    """What a package names as optional and the lock has no entry for."""
    packages = lock["packages"]
    for owner, found in packages.items():
        for name, wanted in found.get("optionalDependencies", {}).items():
            place = f"node_modules/{name}"
            if place not in packages and f"{owner}/{place}" not in packages:
                yield owner, place, name, wanted


def entry(owner, name, wanted):
    """What npm would write of a platform's package, but for its hash."""
    platform = PLATFORM.search(name)
    alias = re.fullmatch(r"npm:(@?[^@]+)@(.+)", wanted)
    version = alias[2] if alias else wanted
    if not platform or not re.fullmatch(r"\d[\w.+-]*", version):
        raise Incomplete(f"npm's lock has nothing for {name}@{wanted}, which {owner or 'package.json'} names")
    system, cpu, rest = platform.groups()
    found = {"name": alias[1]} if alias else {}
    found.update(version=version, cpu=[cpu])
    if "musl" in system + rest:
        found["libc"] = ["musl"]
    found.update(optional=True, os=[{"windows": "win32", "linuxmusl": "linux"}.get(system, system)])
    return found


def known(lock):
    """The hashes in a lock, by name and version."""
    entries = ((name_of(place, found), found) for place, found in lock["packages"].items())
    return {(name, found["version"]): found["integrity"] for name, found in entries if "integrity" in found}


def platforms(lock):
    """The packages that are for one platform only."""
    return {place.rsplit("node_modules/", 1)[-1] for place, found in lock["packages"].items() if "os" in found}


def unhashed(lock):
    """The packages whose content nothing is held against."""
    entries = lock["packages"].items()
    return {name_of(place, found) for place, found in entries if place and not HASH.fullmatch(found.get("integrity", ""))}


def name_of(place, found):
    return found.get("name", place.rsplit("node_modules/", 1)[-1])
