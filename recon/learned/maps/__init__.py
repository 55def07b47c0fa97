"""How far an image can be trusted, measured on the scan that it came from: one question a file."""
