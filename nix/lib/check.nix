# Holds a value against a JSON schema, as far as docs/profile.schema.json uses the language, and
# answers with a list of mistakes, each a line that begins with the place. A word of the language
# that is not known here is an error and not a pass: else the check would quietly become weaker.
schema:
let
  inherit (builtins)
    any
    attrNames
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    genList
    head
    isAttrs
    isList
    length
    map
    replaceStrings
    toJSON
    typeOf
    ;

  known = [
    "$defs"
    "$ref"
    "$schema"
    "additionalProperties"
    "anyOf"
    "const"
    "description"
    "items"
    "maximum"
    "minimum"
    "oneOf"
    "properties"
    "title"
    "type"
  ];

  types = {
    bool = [ "boolean" ];
    float = [ "number" ];
    int = [
      "integer"
      "number"
    ];
    list = [ "array" ];
    null = [ "null" ];
    set = [ "object" ];
    string = [ "string" ];
  };

  asList = it: if isList it then it else [ it ];

  # Mistakes of `it`, which stands at `place` (the names that lead to it).
  check =
    place: rules: it:
    let
      wrong = text: [ "${if place == [ ] then "the profile" else concatStringsSep "." place}: ${text}" ];
      strange = filter (word: !elem word known) (attrNames rules);
      is = types.${typeOf it} or [ ];
      choices = rules.anyOf or rules.oneOf or [ ];
    in
    if strange != [ ] then
      throw "nix/lib/check.nix does not know `${head strange}` of the schema"
    else if rules ? "$ref" then
      check place schema."$defs".${replaceStrings [ "#/$defs/" ] [ "" ] rules."$ref"} it
    else if choices != [ ] then
      oneOf place choices it
    else if rules ? const then
      (if it == rules.const then [ ] else wrong "not ${toJSON rules.const}")
    else if typeOf it == "path" then
      wrong "a path of Nix; write \"\${${toString it}}\" for a copy in the store, or a string"
    else if rules ? type && !(any (type: elem type (asList rules.type)) is) then
      wrong "${typeOf it} is not ${
        concatStringsSep " or " (filter (type: type != "null") (asList rules.type))
      }"
    else if isAttrs it then
      concatMap (name: inTable (place ++ [ name ]) rules name it.${name}) (attrNames it)
    else if isList it && rules ? items then
      concatMap (index: check (place ++ [ (toString index) ]) rules.items (elemAt it index)) (
        genList (index: index) (length it)
      )
    else if rules ? minimum && it < rules.minimum then
      wrong "less than ${toJSON rules.minimum}"
    else if rules ? maximum && it > rules.maximum then
      wrong "more than ${toJSON rules.maximum}"
    else
      [ ];

  # A key of a table: declared, or free where the schema says what its value is.
  inTable =
    place: rules: name: it:
    let
      others = rules.additionalProperties or true;
      declared = attrNames (rules.properties or { });
    in
    if rules ? properties && rules.properties ? ${name} then
      check place rules.properties.${name} it
    else if isAttrs others then
      check place others it
    else if others then
      [ ]
    else
      [ "unknown key `${concatStringsSep "." place}`; known here: ${concatStringsSep ", " declared}" ];

  # What the first choice says is shown where none fits, unless all of them are words.
  oneOf =
    place: choices: it:
    let
      results = map (rules: check place rules it) choices;
      words = filter (rules: rules ? const) choices;
      names = map (rules: toJSON rules.const) words;
    in
    if elem [ ] results then
      [ ]
    else if length words == length choices then
      [ "${concatStringsSep "." place}: ${toJSON it} is none of ${concatStringsSep ", " names}" ]
    else
      head results;
in
check [ ] schema
