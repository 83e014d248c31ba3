# A toy as nix/npm.nix makes a package of it, from a registry that the test made.
{
  nixpkgs,
  system,
  registry,
  kind,
  integrity,
}:

let
  pkgs = import nixpkgs { inherit system; };
  npm = pkgs.callPackage ../npm.nix { inherit registry; };
in
npm "toy" {
  inherit kind;
  version = "said";
  versionArgument = "said";
  description = "a toy";
  homepage = "https://example.invalid";
  license = "mit";
  program = "toy";
  file = if kind == "node" then "cli.js" else "toy";
  environment.TOY = "by default";
  sources.any = {
    tarball = "${kind}.tgz";
    inherit integrity;
  };
}
