"""Tests of nix/update, offline, with an npm that answers from a file.

    python3 nix/tests/update.py
"""

import base64
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

UPDATE = Path(__file__).resolve().parent.parent / "update"

# `view --json NAME@VERSION FIELD...`: as npm, with `{}` for "there is none", and silence for E404.
FAKE_NPM = f"""#!{sys.executable}
import json, os, sys
world = json.load(open(os.environ["WORLD"]))
_view, _json, spec, *fields = sys.argv[1:]
assert (_view, _json) == ("view", "--json"), sys.argv
found = world.get(spec)
if found == "broken":
    print("npm error network", file=sys.stderr)
    sys.exit(1)
if found is None:
    print(json.dumps({{"error": {{"code": "E404"}}}}))
    print("npm error code E404", file=sys.stderr)
    sys.exit(1)
found = {{field: found[field] for field in fields if field in found}}
print(json.dumps(found if len(found) > 1 else list(found.values())[0]))
"""


def sha512(text):
    return "sha512-" + base64.b64encode(hashlib.sha512(text.encode()).digest()).decode()


def published(name, version, **more):
    base = name.rsplit("/", 1)[-1]
    return {
        "name": name,
        "version": version,
        "dist.tarball": f"https://mirror.invalid/npm/{name}/-/{base}-{version}.tgz",
        "dist.integrity": sha512(name + version),
        **more,
    }


def native(version, platforms=("linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"), alias=False):
    """A main package and one for each platform."""
    world, wanted = {}, {}
    for platform in platforms:
        name, own = f"@x/tool-{platform}", version
        wanted[name] = version
        if alias:
            wanted[name], name, own = f"npm:@x/tool@{version}-{platform}", "@x/tool", f"{version}-{platform}"
        world[f"{name}@{own}"] = published(name, own)
    world["@x/tool@latest"] = published("@x/tool", version, optionalDependencies=wanted)
    return world


def node(version, **more):
    return {"script@latest": published("script", version, **more)}


COMMON = {"description": "x", "homepage": "https://example.invalid", "license": "mit", "file": "f"}
AGENTS = {
    "tool": {**COMMON, "kind": "native", "npm": "@x/tool", "platform": "@x/tool-{os}-{cpu}", "program": "tool"},
    "script": {**COMMON, "kind": "node", "npm": "script", "program": "script"},
}


class Update(unittest.TestCase):
    first = None

    def setUp(self):
        self.root = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        (self.root / "nix").mkdir()
        shutil.copy(UPDATE, self.root / "nix" / "update")
        (self.root / "Cargo.toml").write_text('[package]\nversion = "9.8.7"\n')
        begin, end = "<!-- packages: written by nix/update --table -->", "<!-- packages: end -->"
        (self.root / "README.md").write_text(f"before\n{begin}\n{end}\nafter\n")
        npm = self.root / "npm"
        npm.write_text(FAKE_NPM)
        npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
        # What the first update wrote, which all tests begin with.
        written = [self.root / "nix" / "agents.json", self.root / "README.md"]
        if Update.first is None:
            self.write(AGENTS)
            self.assertEqual(self.update({**native("1.0.0"), **node("1.0.0")}), 10)
            Update.first = [file.read_text() for file in written]
        for file, text in zip(written, Update.first):
            file.write_text(text)

    def write(self, agents):
        (self.root / "nix" / "agents.json").write_text(json.dumps(agents))

    def agents(self):
        return json.loads((self.root / "nix" / "agents.json").read_text())

    def update(self, world, *arguments, path=None):
        """The exit code; what it said is in `self.said`."""
        world_file = self.root / "world.json"
        world_file.write_text(json.dumps(world))
        environment = {**os.environ, "NPM": str(self.root / "npm"), "WORLD": str(world_file)}
        if path:
            environment["PATH"] = str(path)
        command = [sys.executable, str(self.root / "nix" / "update"), *arguments]
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
        self.said = run.stderr
        return run.returncode

    def versions(self):
        return [agent["version"] for agent in self.agents().values()]

    def test_nothing_new_is_0_and_writes_nothing(self):
        before = (self.root / "nix" / "agents.json").stat().st_ino
        self.assertEqual(self.update({**native("1.0.0"), **node("1.0.0")}), 0)
        self.assertEqual(self.said, "")
        self.assertEqual((self.root / "nix" / "agents.json").stat().st_ino, before)

    def test_a_new_version_is_10_with_the_hashes_of_npm(self):
        self.assertEqual(self.update({**native("1.1.0"), **node("2.0.0")}), 10)
        self.assertEqual(self.versions(), ["1.1.0", "2.0.0"])
        source = self.agents()["tool"]["sources"]["aarch64-darwin"]
        self.assertEqual(source["tarball"], "@x/tool-darwin-arm64/-/tool-darwin-arm64-1.1.0.tgz")
        self.assertEqual(source["integrity"], sha512("@x/tool-darwin-arm64" + "1.1.0"))
        self.assertIn("1.1.0", (self.root / "README.md").read_text())

    def test_one_agent_can_be_named(self):
        self.assertEqual(self.update({**native("1.1.0"), **node("2.0.0")}, "script"), 10)
        self.assertEqual(self.versions(), ["1.0.0", "2.0.0"])
        self.assertEqual(self.update({}, "scrpt"), 1)
        self.assertIn("scrpt", self.said)

    def test_an_alias_of_npm_is_followed(self):
        self.assertEqual(self.update({**native("1.1.0", alias=True), **node("1.0.0")}), 10)
        tarball = self.agents()["tool"]["sources"]["x86_64-linux"]["tarball"]
        self.assertEqual(tarball, "@x/tool/-/tool-1.1.0-linux-x64.tgz")

    def test_a_lost_system_is_refused_and_the_others_are_kept(self):
        self.assertEqual(self.update({**native("1.1.0", ("linux-x64",)), **node("2.0.0")}), 1)
        self.assertEqual(self.versions(), ["1.0.0", "2.0.0"])
        self.assertIn("not made for aarch64-linux", self.said)

    def test_a_package_that_npm_has_not_got_is_a_lost_system(self):
        world = native("1.1.0")
        del world["@x/tool-darwin-x64@1.1.0"]
        self.assertEqual(self.update({**world, **node("1.0.0")}), 1)
        self.assertEqual(self.versions(), ["1.0.0", "1.0.0"])

    def test_a_new_system_is_taken(self):
        agents = self.agents()
        del agents["tool"]["sources"]["x86_64-darwin"]
        self.write(agents)
        self.assertEqual(self.update({**native("1.0.0"), **node("1.0.0")}), 10)
        self.assertIn("x86_64-darwin", self.agents()["tool"]["sources"])

    def test_dependencies_are_refused(self):
        self.assertEqual(self.update({**native("1.1.0"), **node("2.0.0", dependencies={"left-pad": "1"})}), 1)
        self.assertEqual(self.versions(), ["1.1.0", "1.0.0"])
        self.assertIn("left-pad", self.said)

    def test_a_hash_that_is_none_is_refused(self):
        for hash in ["", "sha1-abc", "sha512-short"]:
            self.assertEqual(self.update(node("2.0.0", **{"dist.integrity": hash}), "script"), 1)
        self.assertEqual(self.versions(), ["1.0.0", "1.0.0"])

    def test_a_tarball_elsewhere_is_refused(self):
        elsewhere = {"dist.tarball": "https://mirror.invalid/npm/other/-/other-2.0.0.tgz"}
        self.assertEqual(self.update(node("2.0.0", **elsewhere), "script"), 1)

    def test_a_registry_that_fails_is_an_error_and_not_a_lost_system(self):
        self.assertEqual(self.update({**native("1.1.0"), "script@latest": "broken"}), 1)
        self.assertEqual(self.versions(), ["1.1.0", "1.0.0"])
        self.assertIn("network", self.said)

    def test_a_version_that_is_held_is_not_left(self):
        agents = self.agents()
        agents["script"]["hold"] = {"version": "1.0.0", "reason": "x"}
        self.write(agents)
        world = {"script@1.0.0": published("script", "1.0.0"), **node("3.0.0")}
        self.assertEqual(self.update(world, "script"), 0)

    def test_the_inputs_of_the_flake_are_updated_by_nix(self):
        """`nix` is a script that writes what the test says, or is not there."""
        path = self.root / "bin"
        path.mkdir()
        inputs = lambda: self.update({}, "inputs", path=path)
        self.assertEqual(inputs(), 1)
        self.assertIn("need Nix", self.said)
        nix = path / "nix"
        for lock, code in [("1", 10), ("1", 0), ("2", 10)]:
            nix.write_text(f"#!/bin/sh\necho {lock} >flake.lock\n")
            nix.chmod(0o755)
            self.assertEqual(inputs(), code)
        nix.write_text("#!/bin/sh\nexit 3\n")
        self.assertEqual(inputs(), 1)

    def test_the_table_is_between_its_markers(self):
        readme = (self.root / "README.md").read_text()
        self.assertTrue(readme.startswith("before\n") and readme.endswith("\nafter\n"))
        self.assertIn("| `claudebox` | 9.8.7 |", readme)
        self.assertIn("| [`tool`](https://example.invalid) | 1.0.0 | `tool` | `tool-box` |", readme)
        self.assertEqual(self.update({}, "--table"), 0)
        (self.root / "README.md").write_text(readme.replace("1.0.0", "0.0.0"))
        self.assertEqual(self.update({}, "--table"), 10)
        self.assertEqual((self.root / "README.md").read_text(), readme)


if __name__ == "__main__":
    unittest.main()
