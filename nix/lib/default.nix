# What a flake can use without a package set: profiles as data, and agents wrapped.
#
# Nothing here decides what a sandbox does. A profile is the same TOML as the command line's, and
# a wrapper only names it: what holds is settled by claudebox when it runs.
let
  schema = builtins.fromJSON (builtins.readFile ../../docs/profile.schema.json);
  toml = import ./toml.nix;
  mistakes = import ./check.nix schema;
in
rec {
  # The attributes as they are, or an error at evaluation that names every mistake. The keys and
  # values that are known are those of docs/profile.schema.json, which claudebox itself prints.
  checkProfile =
    profile:
    let
      found = mistakes profile;
    in
    if found == [ ] then
      profile
    else
      throw "not a claudebox profile:\n${builtins.concatStringsSep "\n" (map (line: "  ${line}") found)}";

  # The profile as the text of a TOML file. A value that is null is not said.
  renderProfile = profile: toml (checkProfile profile);

  # A profile that claudebox brings along, as attributes; null where it brings none of that name.
  builtinProfile =
    name:
    let
      file = ../../profiles + "/${name}.toml";
    in
    if builtins.pathExists file then builtins.fromTOML (builtins.readFile file) else null;

  # An agent, or any program, as a package that runs it in the sandbox. See wrap.nix.
  wrapAgent = import ./wrap.nix { inherit renderProfile builtinProfile; };
}
