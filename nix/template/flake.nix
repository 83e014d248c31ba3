{
  description = "A project whose agent works in a sandbox";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    # Put your checkout of claudebox here, or the address that it was cloned from (`git+https://...`).
    claudebox.url = "git+file:///the/checkout/of/claudebox";
    claudebox.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    { nixpkgs, claudebox, ... }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEachSystem =
        make: nixpkgs.lib.genAttrs systems (system: make system nixpkgs.legacyPackages.${system});
    in
    {
      devShells = forEachSystem (
        system: pkgs:
        let
          # What the project is built with; the agent has the same.
          tools = [
            pkgs.git
            pkgs.gnumake
          ];
        in
        {
          default = pkgs.mkShell {
            packages = tools ++ [
              # `claude-box` runs Claude Code in the sandbox.
              (claudebox.lib.wrapAgent {
                inherit pkgs tools;
                package = claudebox.packages.${system}.claude-code;
                claudebox = claudebox.packages.${system}.claudebox;
                extraProfile = {
                  # One line for each thing more that it needs, for example:
                  # network.allow = [ "api.example.com" ];
                  # environment.pass = [ "GH_TOKEN" ];
                };
              })
            ];
          };
        }
      );
    };
}
