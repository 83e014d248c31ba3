{
  lib,
  rustPlatform,
  installShellFiles,
  makeWrapper,
  bubblewrap,
  git,
  tmux,
}:
let
  manifest = lib.importTOML ../Cargo.toml;
in
rustPlatform.buildRustPackage {
  pname = manifest.package.name;
  inherit (manifest.package) version;

  # What cargo reads: `tests` because Cargo.toml names programs in it.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../src
      ../profiles
      ../tests
    ];
  };

  cargoLock.lockFile = ../Cargo.lock;

  nativeBuildInputs = [
    installShellFiles
    makeWrapper
  ];

  # They make sandboxes, which a build cannot; `make test` runs them.
  doCheck = false;

  # claudebox starts these itself, outside of the sandbox. They come last, so that a person's own
  # tmux, of the version their configuration is for, wins.
  postInstall = ''
    wrapProgram $out/bin/claudebox \
      --suffix PATH : ${
        lib.makeBinPath [
          bubblewrap
          git
          tmux
        ]
      }
    $out/bin/claudebox man > claudebox.1
    installManPage claudebox.1
    installShellCompletion --cmd claudebox \
      --bash <($out/bin/claudebox completions bash) \
      --fish <($out/bin/claudebox completions fish) \
      --zsh <($out/bin/claudebox completions zsh)
  '';

  meta = {
    inherit (manifest.package) description;
    license = lib.licenses.mit;
    mainProgram = "claudebox";
    platforms = lib.platforms.linux;
  };
}
