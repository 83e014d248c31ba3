# What is computed without a package set, tested: `nix-instantiate --eval --strict nix/tests/pure.nix`
# answers with the number of cases, or fails and names those that do not hold.
let
  ours = import ../lib;
  inherit (builtins)
    attrNames
    deepSeq
    filter
    fromJSON
    fromTOML
    head
    length
    map
    match
    readDir
    readFile
    tryEval
    ;

  fails = value: !(tryEval (deepSeq value true)).success;
  roundTrip = profile: fromTOML (ours.renderProfile profile) == profile;
  refused = profile: fails (ours.checkProfile profile);

  # That there is one mistake, and what is said of it.
  says =
    text: profile:
    let
      found = mistakes profile;
    in
    length found == 1 && match text (head found) != null;

  # What the check says, without the throw that tryEval would swallow.
  mistakes = import ../lib/check.nix (fromJSON (readFile ../../docs/profile.schema.json));

  builtins_ = map (file: fromTOML (readFile (../../profiles + "/${file}"))) (
    filter (file: file != "groups.toml") (attrNames (readDir ../../profiles))
  );

  # Every character that a string of TOML has to escape, and some that it need not.
  strange = fromJSON ''"\"\\ \n\t\r\b\f\u0001\u001f\u007f é \ud83d\ude00 ''${x} # ]"'';

  cases = {
    "every built-in profile is accepted, and is itself again when it is rendered" =
      length builtins_ > 4 && builtins.all roundTrip builtins_;
    "strings stay what they are" = roundTrip { description = strange; };
    "so do keys" = roundTrip {
      environment.set.${strange} = "x";
      state-copy."~/.a b.json" = [ strange ];
    };
    "numbers, booleans, empty lists and tables" = roundTrip {
      nested-userns = false;
      limits.cpu = 1.5;
      limits.processes = 16;
      network.host-ports = [
        1
        65535
      ];
      tools = [ ];
      environment.set = { };
    };
    "a value stands before the tables, whatever their names are" = roundTrip {
      agent.command = [ "x" ];
      tools = [ "/x" ];
      environment = {
        set.A = "1";
        pass = [ "B" ];
      };
    };
    "each entry of a list has its line" =
      ours.renderProfile {
        tools = [
          "/a"
          "/b"
        ];
      } == "tools = [\n  \"/a\",\n  \"/b\",\n]\n";
    "what is null is not said" =
      ours.renderProfile {
        description = null;
        files.hide = null;
        git = "none";
      } == "git = \"none\"\n\n[files]\n";

    "an unknown key is refused" = refused { tolls = [ ]; };
    "in a table, too" = refused { network.alow = [ "example.com" ]; };
    "and the message names it and what there is" =
      says "unknown key `network.alow`; known here: allow, deny, .*"
        { network.alow = [ ]; };
    "a free key is not" = !refused { environment.set.ANYTHING = "1"; };
    "the value of a free key is looked at" = refused { environment.set.ANYTHING = 1; };
    "a word that is none of the choices" = says "git: \"share\" is none of .*\"shared\".*" {
      git = "share";
    };
    "a list where a string is wanted" = refused { description = [ "x" ]; };
    "a string where a list is wanted" = refused { tools = "/bin"; };
    "an entry of a list" = mistakes { tools = [ 1 ]; } == [ "tools.0: int is not string" ];
    "a number below the least" = refused { limits.processes = 2; };
    "a port beyond the last" = refused { network.host-ports = [ 65536 ]; };
    "a choice of number and word" =
      !refused { limits.cpu = "unlimited"; }
      && !refused { limits.cpu = 2; }
      && refused { limits.cpu = "2"; };
    "a path of Nix, which would be copied into the store" = refused { tools = [ ./. ]; };
    "every mistake is told at once" =
      length (mistakes {
        a = 1;
        git = 1;
        files.b = 1;
      }) == 3;
    "a word of the schema that is not known is an error, not a pass" = fails (
      import ../lib/check.nix {
        properties.x.pattern = "a";
      } { x = "b"; }
    );

    "a built-in profile is found by its name" =
      (ours.builtinProfile "claude").agent.programs == [ "claude" ] && ours.builtinProfile "none" == null;
  };

  broken = filter (name: !cases.${name}) (attrNames cases);
in
if broken == [ ] then
  length (attrNames cases)
else
  throw "these do not hold:\n${builtins.concatStringsSep "\n" broken}"
