"""What can be chosen by name at many places; in a module that loads nothing, since a command says it before it does anything."""

# Where the processes of a sweep are.
BACKENDS = {"loky": "processes on this machine", "dask": "the workers of a Dask cluster"}
# How a sweep goes on with several workers.
MODES = {
    "deterministic": "one process asks in batches, any number evaluate: always the same trials",
    "elastic": "any number of processes ask and evaluate for themselves, and may come and go",
}
# Where the Optuna study is that shows a sweep: beside the record, or nowhere.
AUTO, NONE = "auto", "none"
# Modules that an experiment may run the code of, in the environment.
TRUST = "NNEXP_ALLOW_MODULES"
SWEEP_TABLES = ["trials", "trial_curves", "trial_times", "tuned", "importances"]
# What `nnexp list` lists.
KINDS = [
    "activations",
    "error_functions",
    "algorithms",
    "selections",
    "crossovers",
    "mutations",
    "optimizers",
    "schedules",
    "initializers",
    "connections",
    "descent",
    "validation",
    "samplers",
    "pruners",
    "data",
]
