# What both modules have: the options of `programs.claudebox`, and what comes of them. Where the
# files go is the module's own.
ours:
{
  config,
  lib,
  pkgs,
}:

let
  inherit (lib) mkOption types;
  it = config.programs.claudebox;

  profile = mkOption {
    type = types.nullOr (types.either types.str types.attrs);
    default = null;
    example = "claude";
    description = ''
      What it runs under: the name of a profile, or a profile. By default the profile that claudebox
      has for the program, else `default`.
    '';
  };

  agent =
    { name, ... }:
    {
      options = {
        package = mkOption {
          type = types.package;
          description = "The agent.";
        };
        inherit profile;
        extraProfile = mkOption {
          type = types.attrs;
          default = { };
          example = {
            network.allow = [ "api.example.com" ];
          };
          description = "Laid over the profile.";
        };
        name = mkOption {
          type = types.str;
          default = name;
          description = "What the wrapped agent is called.";
        };
        args = mkOption {
          type = types.nullOr (types.listOf types.str);
          default = null;
          description = ''
            What stands between the program and what is typed. By default what the profile has there.
          '';
        };
        tools = mkOption {
          type = types.listOf types.package;
          default = [ ];
          description = "Packages whose programs are found inside.";
        };
        closure = mkOption {
          type = types.bool;
          default = true;
          description = "Whether only what the agent and its tools need of the store is visible.";
        };
      };
    };

  wrap =
    agent:
    ours.wrapAgent (
      {
        inherit pkgs;
        claudebox = it.package;
      }
      // lib.filterAttrs (_name: value: value != null) {
        inherit (agent)
          package
          profile
          extraProfile
          name
          args
          tools
          closure
          ;
      }
    );
in
{
  options.programs.claudebox = {
    enable = lib.mkEnableOption "claudebox, which runs coding agents in a sandbox";
    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ../package.nix { };
      description = "The claudebox that is installed, and that runs the agents below.";
    };
    profiles = mkOption {
      type = types.attrsOf types.attrs;
      default = { };
      example = {
        claude.environment.pass = [ "GH_TOKEN" ];
      };
      description = ''
        Profiles by name. The keys are those of a profile's TOML file; one that is unknown, or has a
        value that cannot be, is an error of the evaluation.
      '';
    };
    agents = mkOption {
      type = types.attrsOf (types.submodule agent);
      default = { };
      description = "Agents that are installed wrapped, each below the name that it has here.";
    };
  };

  # A shell would look for `claudebox` in vain, and nothing would say why.
  assertions = [
    {
      assertion = pkgs.stdenv.hostPlatform.isLinux;
      message = "programs.claudebox: the sandbox is made of Linux's namespaces, there is none here";
    }
  ];

  packages = [ it.package ] ++ map wrap (lib.attrValues it.agents);

  files = lib.mapAttrs' (
    name: profile:
    lib.nameValuePair "claudebox/profiles/${name}.toml" { text = ours.renderProfile profile; }
  ) it.profiles;
}
