# A package set with what this project asks nixpkgs for. It builds for real, with the programs of the
# machine instead of packages: what is tested is our side, by a real Nix. The names and arguments
# are nixpkgs'; a name that is not here is an error.
{
  system,
  config ? { },
}:

let
  host = import ./host.nix;
  lib = import ./lib.nix;

  hostPlatform = {
    inherit system;
    isLinux = lib.hasSuffix "-linux" system;
    isDarwin = lib.hasSuffix "-darwin" system;
  };

  allowed =
    name: meta:
    let
      license = meta.license or { };
      permitted = config.allowUnfreePredicate or (_package: false);
    in
    (license.free or true)
    || permitted {
      inherit name;
      pname = name;
    };

  # Builds with stdenv/setup and `phases`, a script.
  build =
    name: phases: arguments:
    let
      meta = arguments.meta or { };
      made = derivation (
        removeAttrs arguments [
          "meta"
          "passthru"
        ]
        // {
          inherit name system phases;
          builder = host.bash or "/bin/bash";
          args = [
            "-c"
            ''source "$stdenv/setup"; eval "$phases"''
          ];
          stdenv = "${./stdenv}";
          PATH = host.path;
          outputs = [ "out" ];
        }
      );
    in
    if allowed (arguments.pname or name) meta then
      made // arguments.passthru or { } // { inherit meta; } // pnameOf arguments
    else
      throw "`${name}` is not free, and nobody allowed it";

  pnameOf = arguments: lib.filterAttrs (name: _value: name == "pname" || name == "version") arguments;

  nameOf = arguments: arguments.name or "${arguments.pname}-${arguments.version}";

  # A package that is the machine's program.
  fromHost =
    name: programs:
    build name
      ''
        mkdir -p "$out/bin"
        for program in $programs; do ln -s "$(command -v "$program")" "$out/bin/$program"; done
      ''
      {
        inherit programs;
        meta.mainProgram = lib.head programs;
      };

  packages = {
    inherit lib;
    pkgs = packages;

    stdenv = {
      inherit hostPlatform;
      buildPlatform = hostPlatform // {
        canExecute = platform: platform.system == system;
      };
      mkDerivation = arguments: build (nameOf arguments) "unpack; install_it; check_it" arguments;
      cc.bintools.dynamicLinker = host.dynamicLinker or "/lib64/ld-linux-x86-64.so.2";
    };

    rustPlatform.buildRustPackage =
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
      build "${pname}-${version}" "unpack; build_with_cargo; runHook postInstall" (
        removeAttrs arguments [ "cargoLock" ]
        // host.cargo
        // {
          built = host.claudebox;
        }
      );

    fetchurl = { url, hash }: import <nix/fetchurl.nix> { inherit url hash; };

    runCommand =
      name: arguments: script:
      build name script arguments;

    writeClosure =
      paths:
      build "closure" "cat graph-* | grep ^/ | sort -u > $out" {
        exportReferencesGraph = lib.concatLists (
          lib.imap0 (index: path: [
            "graph-${toString index}"
            path
          ]) paths
        );
      };

    mkShell =
      {
        packages ? [ ],
        inputsFrom ? [ ],
      }:
      build "nix-shell" "echo > $out" {
        nativeBuildInputs = packages ++ lib.concatMap (it: it.nativeBuildInputs or [ ]) inputsFrom;
      };

    runtimeShell = host.bash or "/bin/bash";
    bash = fromHost "bash" [
      "bash"
      "sh"
    ];
    bashInteractive = fromHost "bash-interactive" [ "bash" ];
    coreutils = fromHost "coreutils" [
      "env"
      "ls"
      "cat"
    ];
    nodejs = fromHost "nodejs" [ "node" ];
    callPackage = lib.callPackageWith packages;
  }
  // lib.genAttrs [
    "bubblewrap"
    "clippy"
    "git"
    "gnumake"
    "installShellFiles"
    "makeBinaryWrapper"
    "makeWrapper"
    "nixfmt-tree"
    "patchelf"
    "python3"
    "rustfmt"
    "tmux"
  ] (name: build name "mkdir -p $out/bin" { meta.mainProgram = name; });
in
packages
