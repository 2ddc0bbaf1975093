"""Everything that the commands show; the only room that knows rich. Functions take records and a console.

A function is imported with its file when it is first asked for: a start of a training needs less than half of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jitnet.render.augmentation import distortions, sheet
    from jitnet.render.charts import plot
    from jitnet.render.code import code_summary, code_view, code_views
    from jitnet.render.columns import table_description
    from jitnet.render.comparing import function_comparison, saved_files, watched, watching_files
    from jitnet.render.console import Consoles, consoles, error, facts, make_console, notice, suggest
    from jitnet.render.curves import LETTERS, training_curves
    from jitnet.render.drawing import picture, pictures, to_grey
    from jitnet.render.ends import estimate, range_test
    from jitnet.render.functions import function_profile
    from jitnet.render.measurement import bench, changes, measuring
    from jitnet.render.modules import module_table
    from jitnet.render.profiling import step_profile
    from jitnet.render.program import program_table
    from jitnet.render.progress import TrainingView, compiling, counting, downloads, not_kept, resumed, working
    from jitnet.render.reports import description, listing, network, plan, prediction
    from jitnet.render.roofline import roofline_picture
    from jitnet.render.run_comparison import comparison
    from jitnet.render.run_views import run_list
    from jitnet.render.scaling import scaling_table
    from jitnet.render.scores import evaluation
    from jitnet.render.several import WorksView, scores_of_several
    from jitnet.render.sweep import SweepView, sweep_summary
    from jitnet.render.tables import bar, table

_HOME = {
    "Consoles": "console",
    "LETTERS": "curves",
    "SweepView": "sweep",
    "TrainingView": "progress",
    "WorksView": "several",
    "bar": "tables",
    "bench": "measurement",
    "changes": "measurement",
    "code_summary": "code",
    "code_view": "code",
    "code_views": "code",
    "comparison": "run_comparison",
    "compiling": "progress",
    "consoles": "console",
    "counting": "progress",
    "description": "reports",
    "distortions": "augmentation",
    "downloads": "progress",
    "error": "console",
    "estimate": "ends",
    "evaluation": "scores",
    "facts": "console",
    "function_comparison": "comparing",
    "function_profile": "functions",
    "listing": "reports",
    "make_console": "console",
    "measuring": "measurement",
    "module_table": "modules",
    "network": "reports",
    "not_kept": "progress",
    "notice": "console",
    "picture": "drawing",
    "pictures": "drawing",
    "plan": "reports",
    "plot": "charts",
    "prediction": "reports",
    "program_table": "program",
    "range_test": "ends",
    "resumed": "progress",
    "roofline_picture": "roofline",
    "run_list": "run_views",
    "training_curves": "curves",
    "saved_files": "comparing",
    "scaling_table": "scaling",
    "scores_of_several": "several",
    "sheet": "augmentation",
    "step_profile": "profiling",
    "suggest": "console",
    "sweep_summary": "sweep",
    "table": "tables",
    "table_description": "columns",
    "to_grey": "drawing",
    "watched": "comparing",
    "watching_files": "comparing",
    "working": "progress",
}

__all__ = [
    "LETTERS",
    "Consoles",
    "SweepView",
    "TrainingView",
    "WorksView",
    "bar",
    "bench",
    "changes",
    "code_summary",
    "code_view",
    "code_views",
    "comparison",
    "compiling",
    "consoles",
    "counting",
    "description",
    "distortions",
    "downloads",
    "error",
    "estimate",
    "evaluation",
    "facts",
    "function_comparison",
    "function_profile",
    "listing",
    "make_console",
    "measuring",
    "module_table",
    "network",
    "not_kept",
    "notice",
    "picture",
    "pictures",
    "plan",
    "plot",
    "prediction",
    "program_table",
    "range_test",
    "resumed",
    "roofline_picture",
    "run_list",
    "saved_files",
    "scaling_table",
    "scores_of_several",
    "sheet",
    "step_profile",
    "suggest",
    "sweep_summary",
    "table",
    "table_description",
    "to_grey",
    "training_curves",
    "watched",
    "watching_files",
    "working",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'jitnet.render' has no attribute {name!r}")
    value = getattr(import_module(f"jitnet.render.{_HOME[name]}"), name)
    globals()[name] = value
    return value
