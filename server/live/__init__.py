"""The live page: what sessions report, in a browser."""
