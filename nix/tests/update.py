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
sys.path.insert(0, str(UPDATE.parent))
sys.dont_write_bytecode = True
import locks  # noqa: E402

# `view --json NAME@VERSION FIELD...`: as npm, with `{}` for "there is none", and silence for E404.
# `install --package-lock-only`: writes the lock of the world, which is for one platform.
FAKE_NPM = f"""#!{sys.executable}
import json, os, sys
world = json.load(open(os.environ["WORLD"]))
if sys.argv[1] == "install":
    manifest = json.load(open("package.json"))
    (version,) = manifest["dependencies"].values()
    json.dump(world["lock " + version], open("package-lock.json", "w"))
    sys.exit(0)
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


class World(unittest.TestCase):
    """A checkout, and an npm."""

    first = None

    def setUp(self):
        self.root = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        (self.root / "nix").mkdir()
        for file in [UPDATE, UPDATE.with_name("locks.py")]:
            shutil.copy(file, self.root / "nix")
        (self.root / "Cargo.toml").write_text('[package]\nversion = "9.8.7"\n')
        begin, end = "<!-- packages: written by nix/update --table -->", "<!-- packages: end -->"
        (self.root / "README.md").write_text(f"before\n{begin}\n{end}\nafter\n")
        npm = self.root / "npm"
        npm.write_text(FAKE_NPM)
        npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
        # What the first update wrote, which all tests begin with.
        written = [self.root / "nix" / "agents.json", self.root / "README.md"]
        if World.first is None:
            self.write(AGENTS)
            self.assertEqual(self.update({**native("1.0.0"), **node("1.0.0")}), 10)
            World.first = [file.read_text() for file in written]
        for file, text in zip(written, World.first):
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


class Update(World):
    """What is said of agents.json."""

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

    def test_a_mirror_that_lacks_a_system_takes_no_pin_away(self):
        world = native("1.0.0")
        del world["@x/tool-darwin-x64@1.0.0"]
        self.assertEqual(self.update({**world, **node("1.0.0")}), 0)
        self.assertIn("what is pinned stays", self.said)
        self.assertIn("x86_64-darwin", self.agents()["tool"]["sources"])

    def test_a_version_that_was_replaced_is_refused(self):
        before = self.agents()
        world = native("1.0.0")
        world["@x/tool-linux-x64@1.0.0"]["dist.integrity"] = sha512("another")
        self.assertEqual(self.update({**world, **node("1.0.0")}), 1)
        self.assertIn("somebody replaced it", self.said)
        self.assertEqual(self.agents(), before)

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


class Locks(World):
    """The tests pin the tool, with a lock that npm made where the registry has one platform of four."""

    PLATFORMS = ("linux-x64", "linux-arm64", "darwin-x64", "linuxmusl-x64")

    def setUp(self):
        super().setUp()
        self.pins = self.root / "tests" / "agents" / "tool"
        self.pins.mkdir(parents=True)
        self.pin("package.json", {"private": True, "dependencies": {"@x/tool": "1.0.0"}})
        self.pin("package-lock.json", self.of_npm("1.0.0", self.PLATFORMS))

    def pin(self, file, value):
        (self.pins / file).write_text(json.dumps(value))

    def pinned(self, file):
        return json.loads((self.pins / file).read_text())

    def of_npm(self, version, platforms, named=PLATFORMS):
        """As npm writes it, where these platforms are found of those that are named."""
        packages = {
            "": {"dependencies": {"@x/tool": version}},
            "node_modules/@x/tool": {
                "version": version,
                "integrity": sha512("@x/tool" + version),
                "optionalDependencies": {f"@x/tool-{platform}": version for platform in named},
            },
        }
        for platform in platforms:
            system, cpu = platform.split("-")
            name = f"@x/tool-{platform}"
            found = {"version": version, "integrity": sha512(name + version), "cpu": [cpu], "optional": True}
            packages[f"node_modules/{name}"] = {**found, "os": [system.replace("musl", "")]}
        return {"lockfileVersion": 3, "packages": packages}

    def entry(self, platform):
        return self.pinned("package-lock.json")["packages"][f"node_modules/@x/tool-{platform}"]

    def with_lock(self, version, **arguments):
        lock = self.of_npm(version, ("linux-x64",), **arguments)
        return {**native(version), **node("1.0.0"), f"lock {version}": lock}

    def test_a_new_version_is_pinned_by_the_tests_for_every_platform(self):
        self.assertEqual(self.update(self.with_lock("1.1.0")), 10)
        self.assertEqual(self.pinned("package.json")["dependencies"], {"@x/tool": "1.1.0"})
        for platform in self.PLATFORMS:
            self.assertEqual(self.entry(platform)["version"], "1.1.0")
        # What npm did not find has the hash that agents.json has.
        arm = {"version": "1.1.0", "integrity": sha512("@x/tool-linux-arm641.1.0")}
        arm.update({"cpu": ["arm64"], "os": ["linux"], "optional": True})
        self.assertEqual(self.entry("linux-arm64"), arm)
        self.assertEqual(self.entry("linuxmusl-x64")["libc"], ["musl"])
        self.assertNotIn("integrity", self.entry("linuxmusl-x64"))

    def test_a_lock_that_would_lose_a_platform_keeps_the_agent_where_it_is(self):
        before = self.pinned("package-lock.json")
        self.assertEqual(self.update(self.with_lock("1.1.0", named=("linux-x64",))), 1)
        self.assertIn("loses @x/tool-darwin-x64, @x/tool-linux-arm64, @x/tool-linuxmusl-x64", self.said)
        self.assertEqual(self.versions(), ["1.0.0", "1.0.0"])
        self.assertEqual(self.pinned("package-lock.json"), before)
        self.assertEqual(self.pinned("package.json")["dependencies"], {"@x/tool": "1.0.0"})

    def test_a_name_that_says_no_platform_is_refused(self):
        self.assertEqual(self.update(self.with_lock("1.1.0", named=(*self.PLATFORMS, "extra"))), 1)
        self.assertIn("nothing for @x/tool-extra@1.1.0", self.said)

    def test_locks_alone_are_completed_and_then_left(self):
        self.pin("package-lock.json", self.of_npm("1.0.0", ("linux-x64",), named=("linux-x64",)))
        world = {"lock 1.0.0": self.of_npm("1.0.0", ("linux-x64",))}
        self.assertEqual(self.update(world, "locks"), 10)
        self.assertEqual(self.entry("linux-arm64")["integrity"], sha512("@x/tool-linux-arm641.0.0"))
        self.assertEqual(self.update(world, "locks"), 0)

    def test_a_hash_that_was_known_is_not_forgotten(self):
        self.assertEqual(self.update({"lock 1.0.0": self.of_npm("1.0.0", ("linux-x64",))}, "locks"), 10)
        self.assertEqual(self.entry("linuxmusl-x64")["integrity"], sha512("@x/tool-linuxmusl-x641.0.0"))


class OfTheRepository(unittest.TestCase):
    """What is committed."""

    ROOT = UPDATE.parent.parent
    # Of what Linux would install, what no registry that was asked has answered for. `nix/update locks`
    # writes the hash where one does; a new name here is somebody's decision.
    UNHASHED = {
        "@ampcode/cli-linux-arm64",
        "@teddyzhu/clipboard-linux-arm64-gnu",
        "backlog.md-linux-arm64",
        "opencode-linux-arm64-musl",
        "opencode-linux-x64-baseline-musl",
        "opencode-linux-x64-musl",
    }

    def locks(self):
        found = list(self.ROOT.glob("tests/agents/*/package-lock.json"))
        self.assertGreater(len(found), 5)
        return {file.parent.name: json.loads(file.read_text()) for file in found}

    def test_every_lock_has_every_platform(self):
        for name, lock in self.locks().items():
            self.assertEqual(list(locks.missing(lock)), [], name)

    def test_every_lock_holds_what_linux_installs_against_a_hash(self):
        for lock in self.locks().values():
            entries = lock["packages"].items()
            others = {locks.name_of(*entry) for entry in entries if "linux" not in entry[1].get("os", "linux")}
            self.assertLessEqual(locks.unhashed(lock) - others, self.UNHASHED)

    def test_the_tests_drive_the_versions_that_are_packaged(self):
        agents = json.loads((self.ROOT / "nix" / "agents.json").read_text())
        for name, agent in agents.items():
            for directory in locks.directories(self.ROOT, agent["npm"]):
                pins = locks.pinned(json.loads((directory / "package.json").read_text()))
                self.assertEqual(pins[agent["npm"]], agent["version"], f"{name} in {directory.name}")


if __name__ == "__main__":
    unittest.main()
