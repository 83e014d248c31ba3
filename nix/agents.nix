# Every agent of agents.json that is made for the system of this package set. (Not for `callPackage`,
# which would put `override` among the agents.)
pkgs:

let
  inherit (pkgs) lib;
  inherit (pkgs.stdenv.hostPlatform) system;
  agents = lib.importJSON ./agents.json;
  npm = pkgs.callPackage ./npm.nix { };
  isOffered = agent: agent.sources ? any || agent.sources ? ${system};
in
lib.mapAttrs npm (lib.filterAttrs (_name: isOffered) agents)
