# Attributes as the text of a TOML file, in pure Nix: no package set, and nothing built in between.
# Each value and each entry of a list has a line of its own, so that `claudebox explain` can name it.
let
  inherit (builtins)
    attrNames
    concatStringsSep
    filter
    isAttrs
    isList
    length
    map
    match
    replaceStrings
    toJSON
    ;

  # A string of JSON is one of TOML, but for DEL, which TOML wants escaped.
  delete = builtins.fromJSON ''"\u007f"'';
  string = value: replaceStrings [ delete ] [ "\\u007f" ] (toJSON value);

  key = name: if match "[A-Za-z0-9_-]+" name == null then string name else name;

  value =
    it:
    if isAttrs it then
      "{ ${concatStringsSep ", " (map (name: "${key name} = ${value it.${name}}") (said it))} }"
    else if isList it then
      list it
    else
      string it;

  list =
    items:
    if length items < 2 then
      "[${concatStringsSep "" (map value items)}]"
    else
      "[\n${concatStringsSep "" (map (item: "  ${value item},\n") items)}]";

  said = attributes: filter (name: attributes.${name} != null) (attrNames attributes);

  # The values of a table, then the tables in it: a line behind `[a.b]` would belong to that.
  table =
    path: attributes:
    let
      names = said attributes;
      plain = filter (name: !isAttrs attributes.${name}) names;
      tables = filter (name: isAttrs attributes.${name}) names;
      header = if path == [ ] then "" else "\n[${concatStringsSep "." (map key path)}]\n";
    in
    header
    + concatStringsSep "" (map (name: "${key name} = ${value attributes.${name}}\n") plain)
    + concatStringsSep "" (map (name: table (path ++ [ name ]) attributes.${name}) tables);
in
table [ ]
