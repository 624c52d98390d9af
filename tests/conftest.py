import os

# scikit-learn's check of array API input runs only under this switch, which SciPy reads on import.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
