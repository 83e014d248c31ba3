{
  description = "Run a coding agent in a sandbox, and see every command it executes";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      # What the sandbox is written for and seccomp numbers are known of.
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEachSystem =
        make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEachSystem (pkgs: rec {
        claudebox = pkgs.callPackage ./nix/package.nix { };
        default = claudebox;
      });

      overlays.default = final: _previous: {
        claudebox = final.callPackage ./nix/package.nix { };
      };

      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${pkgs.stdenv.hostPlatform.system}.default ];
          packages = [
            pkgs.bubblewrap
            pkgs.clippy
            pkgs.git
            pkgs.rustfmt
            pkgs.tmux
          ];
        };
      });
    };
}
