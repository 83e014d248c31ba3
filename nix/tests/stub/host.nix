# What builders of the stand-in have of the machine. tests/nix/run.sh writes another one.
{
  # The directories with programs.
  path = "/usr/local/bin:/usr/bin:/bin";
  # A claudebox that was built already.
  claudebox = "/usr/bin/false";
  # Variables for cargo, which finds its dependencies outside; without any it is not asked.
  cargo = { };
}
