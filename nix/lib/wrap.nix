# A program as a package that runs it in the sandbox: a profile, and a script of a few lines which
# hands over to `claudebox run`. No argument of bubblewrap is in it, and no decision.
{ renderProfile, builtinProfile }:

let
  # The command of an agent's profile, program first; empty where it has none.
  commandOf =
    profile:
    let
      attributes = if builtins.isString profile then builtinProfile profile else profile;
    in
    if attributes == null then [ ] else attributes.agent.command or [ ];

  startsWith = program: command: command != [ ] && builtins.head command == program;
in
{
  # The package set that the wrapper is made with.
  pkgs,
  # The agent.
  package,
  # The name of its program, in `bin`.
  program ? package.meta.mainProgram or (pkgs.lib.getName package),
  # The name of the wrapper. Never the agent's own: who types that, means the agent as it is.
  name ? "${program}-box",
  # What it runs under: the name of a profile, or a profile as attributes.
  profile ? if startsWith program (commandOf program) then program else "default",
  # Laid over it.
  extraProfile ? { },
  # What stands between the program and what is typed; what the profile has there by default.
  args ? if startsWith program (commandOf profile) then builtins.tail (commandOf profile) else [ ],
  # The whole command; null for the profile's own, for which the agent only is among the programs.
  command ? [ "${package}/bin/${program}" ] ++ args,
  # Packages whose programs are found inside, before those of the host.
  tools ? [ ],
  # Whether only the agent, `tools` and what these need is visible of the store; false for all of it.
  closure ? true,
  # The claudebox that runs it.
  claudebox ? pkgs.callPackage ../package.nix { },
}:

let
  inherit (pkgs) lib;

  # What scripts expect everywhere; found last, so that they only stand in.
  basics = [
    pkgs.bash
    pkgs.coreutils
  ];

  # A profile is named by a file of its own name: the name decides which private home is used, and
  # the hash of a store path would be another one with each update.
  base = if builtins.isString profile then profile else "./profile.toml";
  programs = [ package ] ++ tools;
  visible = pkgs.writeClosure (programs ++ basics);
  toml = renderProfile (
    {
      description = "${lib.getName package} as a package of Nix";
    }
    // extraProfile
    // {
      extends = [ base ] ++ extraProfile.extends or [ ];
      agent = extraProfile.agent or { } // lib.optionalAttrs (command != null) { inherit command; };
    }
    // (
      if closure then
        { nix-closure = "${visible}"; }
      else
        { tools = [ builtins.storeDir ] ++ extraProfile.tools or [ ]; }
    )
  );
in
pkgs.runCommand name
  {
    inherit toml;
    base = if builtins.isString profile then "" else renderProfile profile;
    script = ''
      #!${pkgs.runtimeShell}
      # Made by wrapAgent of claudebox: ${name} is ${program} in the sandbox.
      export PATH=${
        lib.concatMapStrings (package: "${lib.makeBinPath [ package ]}:") programs
      }''${PATH:-/usr/bin:/bin}:${lib.makeBinPath basics}
      exec ${lib.getExe claudebox} run @out@/share/claudebox/${name}.toml -- "$@"
    '';
    passAsFile = [
      "base"
      "script"
      "toml"
    ];
    passthru = {
      inherit profile toml;
      unwrapped = package;
    };
    meta = {
      description = "${program} in a sandbox that shows every command it executes";
      mainProgram = name;
      platforms = claudebox.meta.platforms or lib.platforms.linux;
    };
  }
  ''
    mkdir -p "$out/bin" "$out/share/claudebox"
    cp "$tomlPath" "$out/share/claudebox/${name}.toml"
    if [ -s "$basePath" ]; then cp "$basePath" "$out/share/claudebox/profile.toml"; fi
    sed "s,@out@,$out," "$scriptPath" > "$out/bin/${name}"
    chmod 555 "$out/bin/${name}"
  ''
