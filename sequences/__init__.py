"""How the scan is made: protocols, timing, sampling and echo physics."""
