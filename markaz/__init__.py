"""The command line: one thin module a process, and the supervisor that runs them all."""
