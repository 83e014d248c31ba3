# The functions of nixpkgs' `lib` that are used here, by the same names. What is missing is an
# error of the evaluation; what behaves otherwise than nixpkgs' own would be a bug of this file.
let
  inherit (builtins)
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elemAt
    filter
    functionArgs
    head
    intersectAttrs
    isAttrs
    isFunction
    length
    listToAttrs
    map
    mapAttrs
    match
    replaceStrings
    split
    stringLength
    substring
    tail
    ;
in
rec {
  inherit
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    filter
    head
    length
    listToAttrs
    map
    mapAttrs
    replaceStrings
    tail
    ;
  inherit (import ./modules.nix lib)
    evalModules
    mkEnableOption
    mkIf
    mkOption
    types
    ;
  lib = import ./lib.nix;

  nameValuePair = name: value: { inherit name value; };
  genAttrs = names: make: listToAttrs (map (name: nameValuePair name (make name)) names);
  mapAttrsToList = make: set: map (name: make name set.${name}) (attrNames set);
  mapAttrs' = make: set: listToAttrs (mapAttrsToList make set);
  filterAttrs = keep: set: removeAttrs set (filter (name: !keep name set.${name}) (attrNames set));
  recursiveUpdate =
    left: right:
    left
    // mapAttrs (
      name: value:
      if isAttrs value && isAttrs (left.${name} or null) && !(isDerivation value) then
        recursiveUpdate left.${name} value
      else
        value
    ) right;
  isDerivation = value: value.type or null == "derivation";

  optional = condition: value: if condition then [ value ] else [ ];
  optionals = condition: values: if condition then values else [ ];
  optionalAttrs = condition: set: if condition then set else { };
  optionalString = condition: text: if condition then text else "";
  concatMapStrings = make: values: concatStringsSep "" (map make values);
  concatMapStringsSep =
    separator: make: values:
    concatStringsSep separator (map make values);
  hasSuffix =
    suffix: text:
    let
      start = stringLength text - stringLength suffix;
    in
    start >= 0 && substring start (stringLength suffix) text == suffix;
  foldl = builtins.foldl';
  imap0 = make: values: builtins.genList (index: make index (elemAt values index)) (length values);
  last = values: elemAt values (length values - 1);
  removeSuffix =
    suffix: text:
    if hasSuffix suffix text then substring 0 (stringLength text - stringLength suffix) text else text;
  splitString = separator: text: filter builtins.isString (split separator text);
  escapeShellArg =
    argument:
    if match "[[:alnum:],._+:@%/-]+" (toString argument) != null then
      toString argument
    else
      "'${replaceStrings [ "'" ] [ "'\\''" ] (toString argument)}'";
  escapeShellArgs = arguments: concatStringsSep " " (map escapeShellArg arguments);

  importJSON = file: builtins.fromJSON (builtins.readFile file);
  importTOML = file: builtins.fromTOML (builtins.readFile file);

  getName = package: package.pname or (builtins.parseDrvName package.name).name;
  getExe = package: "${package}/bin/${package.meta.mainProgram or (getName package)}";
  makeBinPath = packages: concatStringsSep ":" (map (package: "${package}/bin") packages);

  # `callPackage`: what a function asks for by name, it gets from the set.
  callPackageWith =
    packages: file: overrides:
    let
      make = if isFunction file then file else import file;
      wanted = functionArgs make;
      missing = filter (name: !(packages ? ${name}) && !(overrides ? ${name}) && !wanted.${name}) (
        attrNames wanted
      );
    in
    if missing != [ ] then
      throw "the stand-in for nixpkgs has no `${head missing}`"
    else
      overridable (make (intersectAttrs wanted packages // overrides));

  # What `callPackage` adds to whatever comes out.
  overridable =
    it:
    let
      more = {
        override = throw "the stand-in for nixpkgs overrides nothing";
      };
    in
    if isAttrs it then
      it // more
    else if isFunction it then
      more // { __functor = _self: it; }
    else
      it;

  fileset = {
    unions =
      paths:
      assert builtins.all builtins.pathExists paths;
      paths;
    # A copy with the paths that are in the set, and the directories that lead to them.
    toSource =
      { root, fileset }:
      let
        wanted = map toString fileset;
        below = dir: path: path == dir || substring 0 (stringLength dir + 1) path == "${dir}/";
      in
      {
        outPath = builtins.path {
          path = root;
          name = "source";
          filter = path: _type: builtins.any (it: below it path || below path it) wanted;
        };
      };
  };

  licenses = genAttrs [ "asl20" "mit" "unfree" ] (shortName: {
    inherit shortName;
    free = shortName != "unfree";
  });
  sourceTypes = genAttrs [ "binaryBytecode" "binaryNativeCode" ] (shortName: {
    inherit shortName;
  });
  platforms.linux = [
    "x86_64-linux"
    "aarch64-linux"
  ];
}
