"""Print the numbers of the fixed fits as JSON, or keep them: ``python -m tests.pinned --keep``.

They are kept anew only where a change of numbers is meant; the CHANGELOG then says which and why.
"""

import json
import os
import sys
from pathlib import Path

KEPT = Path(__file__).with_name("kept.json")
# One way of computing for all machines of a kind: no kernels for processors that not all have.
SETTINGS = {
    "OPENBLAS_CORETYPE": "Haswell",
    # As NumPy calls them from 2.4 on, and before that.
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}

if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in SETTINGS.items()):
        os.execve(sys.executable, [sys.executable, "-m", "tests.pinned", *sys.argv[1:]], {**os.environ, **SETTINGS})
    from tests.pinned.fits import everything, here

    found = {"here": here(), **everything()}
    text = "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(numbers)}" for name, numbers in found.items()) + "\n}"
    if "--keep" in sys.argv:
        KEPT.write_text(text + "\n")
    else:
        print(text)
