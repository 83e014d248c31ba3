{
  description = "Run a coding agent in a bubblewrap sandbox and see every command it executes";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      # bubblewrap and seccomp: Linux only.
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forAllSystems = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forAllSystems (pkgs: rec {
        claudebox = pkgs.callPackage ./nix/package.nix { };
        default = claudebox;
      });

      overlays.default = final: _prev: {
        claudebox = final.callPackage ./nix/package.nix { };
      };

      devShells = forAllSystems (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${pkgs.stdenv.hostPlatform.system}.claudebox ];
          packages = [
            pkgs.bubblewrap
            pkgs.tmux
            pkgs.clippy
            pkgs.rustfmt
          ];
        };
      });
    };
}
