# As much of the module system as the modules of this project ask for: options with a type and a
# default, submodules, `mkIf`, and configurations that are laid over each other. A value of another
# type, and a value for which nobody declared an option, is an error, as in nixpkgs.
lib:
let
  inherit (builtins)
    all
    attrNames
    concatLists
    concatStringsSep
    filter
    head
    isAttrs
    isBool
    isFunction
    isList
    isString
    map
    mapAttrs
    ;

  isOption = it: isAttrs it && it._type or "" == "option";

  type = name: check: {
    inherit name check;
    merge = _place: values: head values;
  };
  together = merge: type: type // { merge = _place: merge; };

  # What an option is set to: with one definition that, with none the default.
  valueOf =
    place: option: defined:
    let
      at = concatStringsSep "." place;
      wrong = filter (value: !option.type.check value) defined;
    in
    if wrong != [ ] then
      throw "the option `${at}` is not of the type ${option.type.name}"
    else if defined != [ ] then
      option.type.merge place defined
    else
      option.default or (throw "the option `${at}` is not set");

  # Options as a tree, and the definitions for it, as one tree of values. A condition moves down to
  # the single options: which there are must not depend on what they are set to.
  settle =
    place: options: conditional:
    let
      definitions = map moveDown conditional;
      unknown = filter (name: !(options ? ${name})) (concatLists (map attrNames definitions));
    in
    if unknown != [ ] then
      throw "the option `${concatStringsSep "." (place ++ [ (head unknown) ])}` does not exist"
    else
      mapAttrs (
        name: option:
        let
          here = place ++ [ name ];
          defined = map (it: it.${name}) (filter (it: it ? ${name}) definitions);
        in
        if isOption option then valueOf here option (active defined) else settle here option defined
      ) options;

  isConditional = it: isAttrs it && it._type or "" == "if";

  moveDown =
    it:
    if isConditional it then
      mapAttrs (_name: content: it // { inherit content; }) (moveDown it.content)
    else
      it;

  # Definitions without those whose condition does not hold.
  active =
    definitions:
    concatLists (
      map (
        it: if isConditional it then (if it.condition then active [ it.content ] else [ ]) else [ it ]
      ) definitions
    );
in
rec {
  mkOption = option: option // { _type = "option"; };
  mkEnableOption =
    text:
    mkOption {
      type = types.bool;
      default = false;
      description = "Whether to enable ${text}.";
    };
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };

  types = rec {
    bool = type "bool" isBool;
    str = type "str" isString;
    package = type "package" lib.isDerivation;
    attrs = together (lib.foldl lib.recursiveUpdate { }) (type "attrs" isAttrs);
    listOf =
      inner: together concatLists (type "list of ${inner.name}" (it: isList it && all inner.check it));
    nullOr = inner: inner // { check = it: it == null || inner.check it; };
    either = a: b: type "${a.name} or ${b.name}" (it: a.check it || b.check it);
    attrsOf =
      inner:
      type "attribute set of ${inner.name}" (
        it: isAttrs it && all (name: inner.check it.${name}) (attrNames it)
      )
      // {
        merge =
          place: values:
          let
            names = concatLists (map attrNames values);
            one =
              name: inner.merge (place ++ [ name ]) (map (it: it.${name}) (filter (it: it ? ${name}) values));
          in
          lib.genAttrs names one;
      };
    submodule =
      module:
      type "submodule" isAttrs
      // {
        merge = place: values: settle place (module { name = lib.last place; }).options values;
      };
  };

  # `modules`: each a function or a set with `options` and `config`.
  evalModules =
    { modules, specialArgs }:
    let
      arguments = specialArgs // {
        inherit config lib;
        options = null;
      };
      evaluated = map (it: if isFunction it then it arguments else it) modules;
      options = lib.foldl lib.recursiveUpdate { } (map (it: it.options or { }) evaluated);
      definitions = map (it: it.config or { }) evaluated;
      config = settle [ ] options definitions;
    in
    {
      inherit config options;
    };
}
