"""The tools that take part, one file each."""
