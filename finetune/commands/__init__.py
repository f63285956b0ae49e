"""What each command does once its configuration is known: the rooms that know torch, wired together."""
