"""Public data sets, each read as its authors publish it."""
