# Each agent that is made for the system of this package set, wrapped: its name is the agent's and
# `-box`. What differs from what `wrapAgent` takes by itself is `box` in agents.json.
{ wrapAgent, claudebox }:
pkgs:

let
  inherit (pkgs) lib;
  entries = lib.importJSON ./agents.json;
  agents = import ./agents.nix pkgs;

  boxed =
    name: package:
    let
      box = entries.${name}.box or { };
      more = box // {
        # Other agents, or packages of nixpkgs.
        tools = map (tool: agents.${tool} or pkgs.${tool}) box.tools or [ ];
      };
    in
    lib.nameValuePair "${name}-box" (wrapAgent ({ inherit pkgs package claudebox; } // more));
in
lib.mapAttrs' boxed agents
