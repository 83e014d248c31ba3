# The modules, evaluated with the stand-in's module system, beside the few options of home-manager
# and NixOS that they set. Answers with the number of cases.
let
  ours = import ../lib;
  inherit (builtins)
    attrNames
    deepSeq
    filter
    length
    map
    tryEval
    ;

  pkgsFor = system: import ./stub { inherit system; };
  inherit (pkgsFor "x86_64-linux") lib;

  # What the rest of the system declares.
  outside =
    let
      any = type: lib.mkOption { inherit type; };
      attrs = any (lib.types.attrsOf lib.types.attrs);
      packages = any (lib.types.listOf lib.types.package);
    in
    {
      options = {
        assertions = any (lib.types.listOf lib.types.attrs);
        home.packages = packages;
        xdg.configFile = attrs;
        environment.systemPackages = packages;
        environment.etc = attrs;
      };
    };

  evaluate =
    module: system: programs:
    (lib.evalModules {
      modules = [
        outside
        (module ours)
        { config = { inherit programs; }; }
      ];
      specialArgs.pkgs = pkgsFor system;
    }).config;
  home = evaluate (import ../modules/home.nix) "x86_64-linux";
  nixos = evaluate (import ../modules/nixos.nix) "x86_64-linux";

  pkgs = pkgsFor "x86_64-linux";
  toy = pkgs.runCommand "toy-1" { meta.mainProgram = "toy"; } "";
  everything = {
    claudebox = {
      enable = true;
      profiles.claude.environment.pass = [ "GH_TOKEN" ];
      profiles.mine = {
        extends = [ "base" ];
        network.allow = [ "@npm" ];
      };
      agents.careful = {
        package = toy;
        profile = "mine";
        args = [ "--careful" ];
        tools = [ pkgs.git ];
        extraProfile.git = "none";
      };
    };
  };
  file = ''
    extends = ["base"]

    [network]
    allow = ["@npm"]
  '';
  fails = value: !(tryEval (deepSeq value true)).success;
  careful = lib.last (home everything).home.packages;
  said = builtins.fromTOML (builtins.unsafeDiscardStringContext careful.toml);

  cases = {
    "home-manager: profiles are files of the user" =
      (home everything).xdg.configFile."claudebox/profiles/mine.toml".text == file;
    "NixOS: profiles are files of the machine" =
      (nixos everything).environment.etc."claudebox/profiles/mine.toml".text == file;
    "claudebox is installed, and each agent" =
      map lib.getName (home everything).home.packages == [
        "claudebox"
        "careful"
      ]
      && length (nixos everything).environment.systemPackages == 2;
    "an agent is wrapped as it was asked" =
      careful.meta.mainProgram == "careful"
      && careful.unwrapped == toy
      && careful.profile == "mine"
      && said.git == "none"
      && said.extends == [ "mine" ];
    "without agents and profiles there is claudebox alone" =
      length (home { claudebox.enable = true; }).home.packages == 1;
    "what is not enabled does nothing" = fails (home { }).home.packages;
    "an unknown key of a profile is an error of the evaluation" =
      fails
        (home {
          claudebox = {
            enable = true;
            profiles.mine.alow = [ ];
          };
        }).xdg.configFile;
    "an unknown option, too" =
      fails
        (home {
          claudebox = {
            enable = true;
            profile = "x";
          };
        }).home.packages;
    "on macOS the assertion says why there is nothing" =
      let
        darwin = evaluate (import ../modules/home.nix) "aarch64-darwin" { claudebox.enable = true; };
      in
      map (it: it.assertion) darwin.assertions == [ false ];
  };

  broken = filter (name: !cases.${name}) (attrNames cases);
in
if broken == [ ] then
  length (attrNames cases)
else
  throw "these do not hold:\n${builtins.concatStringsSep "\n" broken}"
