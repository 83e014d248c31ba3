# The module of NixOS: profiles in /etc/claudebox, which hold for every user, agents for all.
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
    environment.systemPackages = common.packages;
    environment.etc = common.files;
  };
}
