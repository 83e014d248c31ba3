# claudebox as a Nix package; `pkgs.callPackage ./nix/package.nix { }`.
{
  lib,
  stdenv,
  rustPlatform,
  installShellFiles,
  makeWrapper,
  bubblewrap,
  git,
  tmux,
}:

let
  manifest = (lib.importTOML ../Cargo.toml).package;
in
rustPlatform.buildRustPackage {
  pname = manifest.name;
  inherit (manifest) version;

  # Only what the build reads, so that a change elsewhere does not rebuild it. `tests` and `docs`
  # are in it because the manifest names programs there and unit tests compare generated files.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.lock
      ../Cargo.toml
      ../docs
      ../profiles
      ../src
      ../tests
    ];
  };

  cargoLock.lockFile = ../Cargo.lock;

  nativeBuildInputs = [
    installShellFiles
    makeWrapper
  ];

  # The tests below tests/ start sandboxes and tmux servers; a build sandbox has neither user
  # namespaces nor a terminal. Unit tests need nothing of the machine.
  cargoTestFlags = [ "--lib" ];
  nativeCheckInputs = [ git ];

  # bwrap in front: the sandbox is built by the one that was packaged. tmux and git behind: inside
  # a running tmux the client has to be the user's, or the server refuses it.
  postInstall = ''
    wrapProgram $out/bin/claudebox \
      --prefix PATH : ${lib.makeBinPath [ bubblewrap ]} \
      --suffix PATH : ${
        lib.makeBinPath [
          git
          tmux
        ]
      }
  ''
  + lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    $out/bin/claudebox man > claudebox.1
    installManPage claudebox.1
    installShellCompletion --cmd claudebox \
      --bash <($out/bin/claudebox completions bash) \
      --fish <($out/bin/claudebox completions fish) \
      --zsh <($out/bin/claudebox completions zsh)
  '';

  meta = {
    inherit (manifest) description;
    license = lib.licenses.mit;
    mainProgram = "claudebox";
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
    ];
  };
}
