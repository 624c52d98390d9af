"""How a fit is planned from parameters and data, and what a finished training becomes."""

from nnexp.fitting.finish import finish
from nnexp.fitting.plan import Data, Left, Plan, Shared, plan_fit, plan_step
from nnexp.fitting.settings import Settings

__all__ = ["Data", "Left", "Plan", "Settings", "Shared", "finish", "plan_fit", "plan_step"]
