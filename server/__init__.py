"""How a scanner talks to us: the MRD streaming server."""
