# The packaged agents, wrapped: what each runs, and under which profile. Answers with the number of
# cases.
let
  ours = import ../lib;
  inherit (builtins)
    attrNames
    filter
    fromTOML
    head
    length
    map
    match
    unsafeDiscardStringContext
    ;

  pkgs = import ./stub {
    system = "x86_64-linux";
    config.allowUnfreePredicate = _package: true;
  };
  claudebox = pkgs.callPackage ../package.nix { };
  boxes = import ../boxes.nix {
    inherit claudebox;
    inherit (ours) wrapAgent;
  } pkgs;

  said = name: fromTOML (unsafeDiscardStringContext boxes."${name}-box".toml);
  command = name: (said name).agent.command;
  # An agent without prompts is one of its profile: each that has one runs under it.
  ownProfile = name: head (said name).extends;

  cases = {
    "each agent has a box" = length (attrNames boxes) == length (attrNames (import ../agents.nix pkgs));
    "an agent runs under the profile that is made for it" =
      map ownProfile [
        "claude-code"
        "codex"
        "gemini-cli"
        "opencode"
        "qwen-code"
      ] == [
        "claude"
        "codex"
        "gemini"
        "opencode"
        "qwen"
      ];
    "with the arguments of that profile behind the program of the package" =
      match ".*/bin/gemini" (head (command "gemini-cli")) != null
      &&
        builtins.tail (command "gemini-cli") == builtins.tail (ours.builtinProfile "gemini").agent.command;
    "a tool with subcommands gets none" = length (command "backlog-md") == 1;
    "a profile whose command is a script keeps it" = !(said "claude-code-router") ? agent.command;
    "every profile is one" = builtins.all (name: (said name) ? nix-closure) [
      "backlog-md"
      "claude-code"
      "claude-code-router"
      "codex"
      "gemini-cli"
      "opencode"
      "qwen-code"
    ];
  };

  broken = filter (name: !cases.${name}) (attrNames cases);
in
if broken == [ ] then
  length (attrNames cases)
else
  throw "these do not hold:\n${builtins.concatStringsSep "\n" broken}"
