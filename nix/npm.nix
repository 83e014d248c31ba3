# One entry of agents.json as a package: the tarball that npm has, unpacked. Nothing is compiled and
# nothing else is fetched, so the hash that npm publishes is the only one there is.
{
  lib,
  stdenv,
  fetchurl,
  makeBinaryWrapper,
  nodejs,
  patchelf,
  registry ? "https://registry.npmjs.org",
}:

name: agent:

let
  inherit (stdenv.hostPlatform) system;
  isNative = agent.kind == "native";
  source =
    agent.sources.${system} or agent.sources.any
      or (throw "${name} is not made for ${system}; nix/agents.json has what it is made for");
  systems = if agent.sources ? any then import ./systems.nix else lib.attrNames agent.sources;

  cpu = lib.head (lib.splitString "-" system);
  triple = if stdenv.hostPlatform.isLinux then "${cpu}-unknown-linux-musl" else "${cpu}-apple-darwin";
  file = "$out/lib/${name}/${lib.replaceStrings [ "{triple}" ] [ triple ] agent.file}";

  variables = agent.environment or { };
  defaults = lib.concatStringsSep " " (
    lib.mapAttrsToList (
      variable: value: "--set-default ${variable} ${lib.escapeShellArg value}"
    ) variables
  );
in
stdenv.mkDerivation {
  pname = name;
  inherit (agent) version;

  src = fetchurl {
    url = "${registry}/${source.tarball}";
    hash = source.integrity;
  };

  nativeBuildInputs = [
    makeBinaryWrapper
    patchelf
  ];

  dontConfigure = true;
  dontBuild = true;
  # Programs of Bun carry their code behind the ELF file: whoever strips or rewrites them, cuts it
  # off. Only the loader is named anew, which is in the same place and no longer.
  dontStrip = true;
  dontPatchELF = true;

  installPhase = ''
    runHook preInstall
    mkdir -p "$out/bin" "$out/lib"
    cp -r . "$out/lib/${name}"
    chmod +x "${file}"
  ''
  + lib.optionalString (isNative && stdenv.hostPlatform.isLinux) ''
    # A static program has no loader.
    if patchelf --print-interpreter "${file}" > /dev/null 2>&1; then
      patchelf --set-interpreter ${stdenv.cc.bintools.dynamicLinker} "${file}"
    fi
  ''
  + (
    if !isNative then
      ''
        makeWrapper ${lib.getExe nodejs} "$out/bin/${agent.program}" --add-flags "${file}" ${defaults}
      ''
    else if variables == { } then
      ''
        ln -s "${file}" "$out/bin/${agent.program}"
      ''
    else
      ''
        makeWrapper "${file}" "$out/bin/${agent.program}" ${defaults}
      ''
  )
  + ''
    runHook postInstall
  '';

  # That it starts at all, and is what its name says.
  doInstallCheck = stdenv.buildPlatform.canExecute stdenv.hostPlatform;
  installCheckPhase = ''
    runHook preInstallCheck
    export HOME="$TMPDIR/home"
    mkdir -p "$HOME"
    "$out/bin/${agent.program}" ${agent.versionArgument or "--version"} | grep -F ${agent.version}
    runHook postInstallCheck
  '';

  meta = {
    inherit (agent) description homepage;
    license = lib.licenses.${agent.license};
    mainProgram = agent.program;
    platforms = systems;
    sourceProvenance = [
      (if isNative then lib.sourceTypes.binaryNativeCode else lib.sourceTypes.binaryBytecode)
    ];
  };
}
