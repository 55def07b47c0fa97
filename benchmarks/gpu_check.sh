#!/usr/bin/env bash
# Runs benchmarks/gpu_check.py from a bare checkout: needs Python 3.11 or newer with torch (and CuPy for the kernels), no network.
#
#     bash benchmarks/gpu_check.sh --out gpu-check          options are those of gpu_check.py
#
# Nothing is installed: packages that are missing come from benchmarks/wheels/ (see gpu_wheels.sh) and go to a temporary folder.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
python=${PYTHON:-python3}
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT

# The rooms of the house under one name, without an installation.
mkdir "$site/knerve"
ln -s "$root"/src/knerve/* "$site/knerve/"
for room in gpu recon sequences datasets server; do ln -sfn "$root/$room" "$site/knerve/$room"; done

if compgen -G "$here/wheels/*.whl" >/dev/null; then
  "$python" - "$here/wheels" >"$site/missing" <<'PYTHON'
import re
import sys
from importlib.metadata import distributions
from pathlib import Path

here = {re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower() for found in distributions()}
for wheel in sorted(Path(sys.argv[1]).glob("*.whl")):
    if re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower() not in here:
        print(wheel)
PYTHON
  if [ -s "$site/missing" ]; then
    echo "from wheels: $(xargs -n1 basename <"$site/missing" | cut -d- -f1 | tr '\n' ' ')"
    xargs "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-compile --no-cache-dir \
      --target "$site" <"$site/missing" || echo "pip could not install the wheels; parts that need them will fail" >&2
  fi
fi
command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem --format=csv,noheader
export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
"$python" "$here/gpu_check.py" "$@"
