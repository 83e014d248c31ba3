# Evaluates flake.nix and nix/package.nix against a stand-in for nixpkgs, and answers with what
# they ask of it. It shows that every name they use is one of nixpkgs' and every path is there;
# it cannot show that the result builds.
#
#   nix-instantiate --eval --strict --json tests/nix/evaluate.nix
let
  # A builder that knows the arguments of nixpkgs' one; another name is an evaluation error.
  buildRustPackage =
    {
      pname,
      version,
      src,
      cargoLock,
      nativeBuildInputs ? [ ],
      nativeCheckInputs ? [ ],
      cargoTestFlags ? [ ],
      postInstall ? "",
      meta ? { },
    }@arguments:
    assert builtins.pathExists cargoLock.lockFile;
    arguments
    // {
      type = "derivation";
      cargoLock = baseNameOf cargoLock.lockFile;
    };

  lib = {
    importTOML = file: builtins.fromTOML (builtins.readFile file);
    genAttrs =
      names: make:
      builtins.listToAttrs (
        map (name: {
          inherit name;
          value = make name;
        }) names
      );
    makeBinPath = packages: builtins.concatStringsSep ":" (map (name: "/${name}/bin") packages);
    optionalString = condition: text: if condition then text else "";
    licenses.mit = "MIT";
    fileset = {
      unions =
        paths:
        assert builtins.all builtins.pathExists paths;
        map baseNameOf paths;
      toSource =
        { root, fileset }:
        assert builtins.pathExists root;
        fileset;
    };
  };

  packagesFor =
    system:
    let
      packages = {
        inherit lib;
        stdenv = {
          hostPlatform = { inherit system; };
          buildPlatform.canExecute = _host: true;
        };
        rustPlatform = { inherit buildRustPackage; };
        mkShell = arguments: arguments;
        callPackage =
          file: overrides:
          let
            make = import file;
          in
          make (builtins.intersectAttrs (builtins.functionArgs make) packages // overrides);
      }
      // lib.genAttrs [
        "bubblewrap"
        "clippy"
        "git"
        "installShellFiles"
        "makeWrapper"
        "rustfmt"
        "tmux"
      ] (name: name);
    in
    packages;

  nixpkgs = {
    inherit lib;
    legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] packagesFor;
  };

  flake = import ../../flake.nix;
  outputs = flake.outputs {
    self = outputs;
    inherit nixpkgs;
  };
in
{
  inputs = builtins.attrNames flake.inputs;
  inherit (outputs) packages devShells;
  overlay = builtins.attrNames (outputs.overlays.default (packagesFor "x86_64-linux") { });
}
