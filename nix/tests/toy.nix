# A program that is wrapped, to see that the wrapping works: it says what it was given and what it
# sees, and is made of two packages, so that there is a closure.
{
  pkgs,
  runCommand,
  runtimeShell,
  claudebox ? pkgs.callPackage ../package.nix { },
  wrapAgent,
}:

let
  word = runCommand "toy-word" { } ''
    mkdir -p "$out"
    echo from the closure > "$out/word"
  '';

  agent =
    runCommand "toy-agent"
      {
        meta.mainProgram = "toy";
        script = ''
          #!${runtimeShell}
          cat ${word}/word
          echo "arguments: $*"
          echo "sandbox: $CLAUDEBOX $TOY"
          echo "store: $(ls ${builtins.storeDir} | wc -l)"
          tool
          echo written > written-by-toy
          touch "$HOME/../escaped" 2> /dev/null || echo no escape
          exit 7
        '';
        passAsFile = [ "script" ];
      }
      ''
        mkdir -p "$out/bin"
        cp "$scriptPath" "$out/bin/toy"
        chmod 555 "$out/bin/toy"
      '';

  tool =
    runCommand "toy-tool"
      {
        script = ''
          #!${runtimeShell}
          echo tool: found
        '';
        passAsFile = [ "script" ];
      }
      ''
        mkdir -p "$out/bin"
        cp "$scriptPath" "$out/bin/tool"
        chmod 555 "$out/bin/tool"
      '';
  wrapped =
    closure:
    wrapAgent {
      inherit pkgs claudebox closure;
      package = agent;
      tools = [ tool ];
      args = [
        "a b"
        "'"
        "\${PROJECT}"
      ];
      profile = {
        extends = [ "base" ];
        description = "a toy";
        network.mode = "none";
      };
      extraProfile.environment.set.TOY = "1";
    };
in
# `open`: the same without a closure, which sees the whole store.
wrapped true // { open = wrapped false; }
