{
  description = "Run a coding agent in a sandbox, and see every command it executes";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      agents = builtins.fromJSON (builtins.readFile ./nix/agents.json);
      ours = import ./nix/lib;

      # Of what is not free, only the agents that are named here.
      allowUnfreePredicate = package: agents ? ${lib.getName package};
      packagesFor =
        system:
        import nixpkgs {
          inherit system;
          config = { inherit allowUnfreePredicate; };
        };
      forSystems = systems: make: lib.genAttrs systems (system: make (packagesFor system));
      forAll = forSystems (import ./nix/systems.nix);
      # The sandbox is made of Linux's namespaces; docs/nix.md says why macOS is offered none.
      onLinux = lib.filter (lib.hasSuffix "-linux") (import ./nix/systems.nix);
      forLinux = forSystems onLinux;
    in
    {
      lib = ours;

      packages =
        lib.recursiveUpdate
          # The agents as they are, wherever their makers offer them.
          (forAll (import ./nix/agents.nix))
          # claudebox, and each agent in the sandbox.
          (
            forLinux (
              pkgs:
              let
                claudebox = pkgs.callPackage ./nix/package.nix { };
                boxes = import ./nix/boxes.nix {
                  inherit claudebox;
                  inherit (ours) wrapAgent;
                };
              in
              {
                inherit claudebox;
                default = claudebox;
              }
              // boxes pkgs
            )
          );

      # `claudebox`, and the agents below a name of their own: nixpkgs has some of them, too.
      overlays.default = final: prev: {
        claudebox = final.callPackage ./nix/package.nix { };
        claudebox-agents = import ./nix/agents.nix final;
      };

      homeModules.default = import ./nix/modules/home.nix ours;
      nixosModules.default = import ./nix/modules/nixos.nix ours;

      templates.default = {
        path = ./nix/template;
        description = "A project whose agent works in a sandbox, with the tools of the project";
      };

      devShells = forLinux (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${pkgs.stdenv.hostPlatform.system}.default ];
          packages = [
            pkgs.bubblewrap
            pkgs.clippy
            pkgs.git
            pkgs.nodejs
            pkgs.python3
            pkgs.rustfmt
            pkgs.tmux
          ];
        };
      });

      formatter = forAll (pkgs: pkgs.nixfmt-tree);

      checks =
        lib.recursiveUpdate
          # What is computed, on any system.
          (forAll (pkgs: {
            pure = pkgs.runCommand "claudebox-pure-tests" {
              result = builtins.toJSON (import ./nix/tests/pure.nix);
            } ''echo "$result" > "$out"'';
          }))
          # A program that is wrapped, and what it needs of the store, as far as it can be built;
          # tests/nix.rs runs it.
          (
            forLinux (pkgs: {
              wrapped = pkgs.callPackage ./nix/tests/toy.nix { inherit (ours) wrapAgent; };
              inherit (self.packages.${pkgs.stdenv.hostPlatform.system}) claudebox;
            })
          );
    };
}
