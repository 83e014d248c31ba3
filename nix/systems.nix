# What the flake is made for. The sandbox is Linux's; the agents run on both.
[
  "x86_64-linux"
  "aarch64-linux"
  "x86_64-darwin"
  "aarch64-darwin"
]
