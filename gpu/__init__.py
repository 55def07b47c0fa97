"""Where the arithmetic runs: devices, memory, Fourier transforms, kernels with a CPU and a GPU twin."""
