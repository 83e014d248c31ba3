# The module of home-manager: profiles in ~/.config/claudebox, agents in the user's profile.
ours:
{
  config,
  lib,
  pkgs,
  ...
}:

let
  common = import ./options.nix ours { inherit config lib pkgs; };
in
{
  inherit (common) options;

  config = lib.mkIf config.programs.claudebox.enable {
    inherit (common) assertions;
    home.packages = common.packages;
    xdg.configFile = common.files;
  };
}
