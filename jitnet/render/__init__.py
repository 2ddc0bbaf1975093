"""Everything that the commands show; the only room that knows rich. Functions take records and a console."""

from jitnet.render.augmentation import distortions, sheet
from jitnet.render.console import Consoles, consoles, error, facts, make_console, notice
from jitnet.render.drawing import picture, pictures, plot, to_grey
from jitnet.render.foreign import function_profile
from jitnet.render.machine_code import code_summary, code_view, code_views
from jitnet.render.measurement import bench, changes, measuring
from jitnet.render.profiling import step_profile
from jitnet.render.program import program_table
from jitnet.render.progress import TrainingView, compiling, downloads, working
from jitnet.render.reports import description, evaluation, listing, network, plan, prediction
from jitnet.render.roofline import roofline_picture, roofline_svg
from jitnet.render.scaling import scaling_table
from jitnet.render.tables import bar, table

__all__ = [
    "Consoles",
    "TrainingView",
    "bar",
    "bench",
    "changes",
    "code_summary",
    "code_view",
    "code_views",
    "compiling",
    "consoles",
    "description",
    "distortions",
    "downloads",
    "error",
    "evaluation",
    "facts",
    "function_profile",
    "listing",
    "make_console",
    "measuring",
    "network",
    "notice",
    "picture",
    "pictures",
    "plan",
    "plot",
    "prediction",
    "program_table",
    "roofline_picture",
    "roofline_svg",
    "scaling_table",
    "sheet",
    "step_profile",
    "table",
    "to_grey",
    "working",
]
