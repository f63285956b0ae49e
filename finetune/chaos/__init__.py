"""Fault tests of a run, on the user's own machine: processes killed, disks filled, checkpoints damaged, ranks lost."""
