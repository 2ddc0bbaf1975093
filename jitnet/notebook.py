"""Magics for IPython and Jupyter: `%load_ext jitnet.notebook`.

%jitprofile smooth(image, weights)

%%jitprofile --threads 1,2
weights = np.ones((5, 5))
smooth(image, weights)
"""

import ast
import re
from typing import Any

from IPython.core.error import UsageError as MagicError
from IPython.core.magic import Magics, line_cell_magic, magics_class

from jitnet.errors import JitnetError
from jitnet.profile.functions.thresholds import SHORTEST_S

__all__ = ["ProfileMagics", "load_ipython_extension"]

OPTIONS = ("threads=", "flop=", "bytes=", "cpu=", "time=")
PROFILER = "<profiler>"
"""A name that no variable has."""

USAGE = "as in %jitprofile smooth(x, weights)"


@magics_class
class ProfileMagics(Magics):  # type: ignore[misc]
    """The magics, of one shell."""

    @line_cell_magic
    def jitprofile(self, line: str, cell: str | None = None) -> Any:
        """Profile a call of a Numba function: its time, threads and lines, and what to change.

            %jitprofile [options] smooth(x, weights)

            %%jitprofile [options]
            x = np.ones(1000)
            smooth(x, weights)

        A cell is run up to its last line, and the call in that line is profiled. It is called in a worker process with
        copies of its arguments, which do not change here. Where the last line assigns the result, it is run afterwards.

        Options, as `jitnet.profile.with_options` takes them: --threads 1,2 counts of threads; --flop and --bytes
        formulas, in quotes: "2 * x.size"; --cpu NAME of another processor for the line view; --time SECONDS of the
        whole answer, 10 by default, of which changes are tried in what is left.

        Returns the profile, which is shown as a page.
        """
        try:
            opts, rest = self.parse_options(line, "", *OPTIONS, posix=False, strict=False, preserve_non_opts=True)
        except MagicError as error:
            reason = str(error).partition(" (allowed")[0]
            known = ", ".join(f"--{name.removesuffix('=')}" for name in OPTIONS)
            raise MagicError(f"%jitprofile: {reason}; the options are {known}") from None
        if cell is not None and rest.strip():
            raise MagicError(f"%%jitprofile {rest.strip()}: expected options only; the call is in the cell's last line")
        options = _options(opts)
        # With a line for the magic, so that lines have the numbers that they have in the cell.
        text = "\n" + self.shell.transform_cell(rest if cell is None else cell)
        file = self.shell.compile.cache(text, len(self.shell.history_manager.input_hist_parsed) - 1)
        statements = ast.parse(text, file).body
        if not statements:
            raise MagicError(f"%jitprofile: there is no call; expected one, {USAGE}")
        *before, last = statements
        call = _call_of(last)
        for statement in before:
            self._run(statement, file)
        found = self._profiled(call, file, options)
        if not isinstance(last, ast.Expr):
            self._run(last, file)
        return found

    def _run(self, statement: ast.stmt, file: str) -> None:
        exec(compile(ast.Module([statement], []), file, "exec"), self.shell.user_ns)

    def _profiled(self, call: ast.Call, file: str, options: dict[str, Any]) -> Any:
        """Profile a call, with the arguments that it has in the user's namespace."""
        from jitnet.profile.functions.library import Profiler

        # The function becomes the first argument of a call of the profiler: Python evaluates the others.
        profiling = ast.Call(ast.Name(PROFILER, ast.Load()), [call.func, *call.args], call.keywords)
        expression = ast.fix_missing_locations(ast.Expression(ast.copy_location(profiling, call)))
        try:
            return eval(compile(expression, file, "eval"), self.shell.user_ns, {PROFILER: Profiler(**options)})
        except JitnetError as error:
            raise MagicError(str(error)) from None


def _call_of(statement: ast.stmt) -> ast.Call:
    value = getattr(statement, "value", None)
    if isinstance(statement, (ast.Expr, ast.Assign, ast.AnnAssign)) and isinstance(value, ast.Call):
        return value
    text = ast.unparse(statement).partition("\n")[0][:80]
    raise MagicError(f"%jitprofile: the last line, {text}, is no call; expected one, {USAGE}")


def _options(opts: Any) -> dict[str, Any]:
    options: dict[str, Any] = {name: _unquoted(text) for name, text in opts.items()}
    if "threads" in options:
        if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", options["threads"]):
            raise MagicError(f"--threads {options['threads']}: expected counts of 1 or more, as in --threads 1,2")
        options["threads"] = [int(count) for count in options["threads"].split(",")]
    if "time" in options:
        try:
            seconds = float(options["time"])
        except ValueError:
            seconds = 0.0
        if not SHORTEST_S <= seconds < float("inf"):
            raise MagicError(f"--time {options['time']}: expected {SHORTEST_S:g} seconds or more, as in --time 30")
        del options["time"]
        options["time_s"] = seconds
    return options


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def load_ipython_extension(shell: Any) -> None:
    """Make the magics known to a shell; `%load_ext jitnet.notebook` calls this."""
    shell.register_magics(ProfileMagics)
