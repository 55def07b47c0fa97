#!/usr/bin/env bash
# Fills benchmarks/wheels/ with what benchmarks/gpu_check.sh may lack on a machine that has Python 3.12, torch and CuPy and no network.
#
#     bash benchmarks/gpu_wheels.sh [--with-numba] [--python 3.12]
#
# Images with torch and CuPy usually have numpy, scipy and numba; --with-numba adds numba and llvmlite (64 MB more).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
version=3.12
packages=(sigpy PyWavelets tqdm safetensors h5py ismrmrd xsdata pydicom defusedxml typer rich click shellingham markdown-it-py mdurl pygments
  typing_extensions pytest iniconfig pluggy packaging)
while [ $# -gt 0 ]; do
  case $1 in
    --with-numba) packages+=(numba llvmlite) ;;
    --python) version=$2; shift ;;
    *) echo "unknown option $1: see the head of $0" >&2; exit 2 ;;
  esac
  shift
done
mkdir -p "$here/wheels"
platforms=()
for n in 17 24 27 28 31 34; do platforms+=(--platform "manylinux_2_${n}_x86_64"); done
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --implementation cp \
  --python-version "$version" "${platforms[@]}" --platform manylinux2014_x86_64 --platform manylinux1_x86_64 \
  --dest "$here/wheels" "${packages[@]}"
du -sh "$here/wheels"
