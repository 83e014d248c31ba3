complete --keep-order --exclusive --command claudebox --arguments "(_CLAUDEBOX_COMPLETE=fish claudebox -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
