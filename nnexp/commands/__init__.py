"""What each command of `nnexp` does; a command loads its own module and what that one needs."""
