"""What `jitnet train` shows of a training: what it will be, and where only that was asked for, in its place."""

from typing import TYPE_CHECKING

from jitnet.cli.common import print_json

if TYPE_CHECKING:
    from jitnet.config import ModelConfig
    from jitnet.render import Consoles
    from jitnet.runs.run_settings import Settings
    from jitnet.runs.time_limit import TimeLimit
    from jitnet.training.trainer import Trainer

__all__ = ["VIEWS", "loaded_bytes", "show_estimate", "show_plan", "show_range_test"]


def show_plan(trainer: "Trainer", screen: "Consoles") -> None:
    """What is trained, on what, where and how."""
    from jitnet import render

    dataset, config = trainer.dataset, trainer.model.config
    n_train, n_held_out = trainer.n_samples
    render.plan(
        screen.info,
        trainer.plan,
        data=dataset.name,
        n_train=n_train,
        n_held_out=n_held_out,
        n_test=0 if dataset.test is None else len(dataset.test),
        outputs=_outputs(config),
        threads_settled=not trainer.measures_threads,
    )
    render.network(screen.info, config, trainer.config.frozen(config))


def _outputs(shape: "ModelConfig") -> str:
    """How many classes, labels or targets there are, in words."""
    if shape.n_targets is None:
        return f"{shape.n_classes:,} classes"
    kind, count = "label" if shape.target == "label" else "target", shape.n_targets
    levels = f", {shape.outputs_per_target} quantiles of each" if shape.outputs_per_target > 1 else ""
    return f"{count:,} {kind}{'s' * (count != 1)}{levels}"


def show_program(trainer: "Trainer", settings: "Settings", json: bool) -> int:
    """The program of a step: which part does what, and why so many parts."""
    from jitnet import render
    from jitnet.training.explanation import explain

    found = explain(trainer.plan)
    if json:
        print_json(found)
    else:
        render.program_table(render.consoles().out, found)
    return 0


def print_settings(trainer: "Trainer", settings: "Settings", json: bool) -> int:
    """Every setting of the run, as a file for --config."""
    from jitnet.runs.run_config import as_toml, complete
    from jitnet.runs.run_training import describe

    if json:
        print_json(describe(trainer, settings))
    else:
        print(as_toml(complete(settings, trainer)), end="")
    return 0


def show_schedule(trainer: "Trainer", settings: "Settings", json: bool) -> int:
    """The learning rate of the run's steps: drawn, or up to a thousand of them as a document."""
    import numpy as np

    from jitnet import render
    from jitnet.kernels.schedule import learning_rates, schedule_settings

    config, steps = trainer.config, trainer.total_steps
    chosen = sorted({*range(0, steps, max(1, steps // 1000)), steps - 1})
    out = np.zeros(len(chosen))
    learning_rates(schedule_settings(config, trainer.n_steps), np.array(chosen), out)
    rates = out.tolist()
    epochs = [step / trainer.n_steps for step in chosen]
    if json:
        print_json({"schedule": config.schedule, "n_steps": steps, "epochs": epochs, "learning_rates": rates})
    else:
        title = f"learning rate: {config.schedule}, {steps:,} steps"
        ends = (0, steps / trainer.n_steps)
        render.plot(render.consoles().out, epochs, rates, title=title, x_label="epoch", x_ends=ends)
    return 0


def loaded_bytes(screen: "Consoles") -> int:
    """What this process takes in memory with all that trains loaded, and no data."""
    from jitnet import render
    from jitnet.engine.loop import compile_ahead, load_loop
    from jitnet.machine.resident import resident_bytes
    from jitnet.training import trainer as _  # noqa: F401

    compile_ahead()
    with render.compiling(screen, "the training loops"):
        load_loop()
    return resident_bytes()


def show_estimate(
    trainer: "Trainer",
    settings: "Settings",
    limit: "TimeLimit | None",
    screen: "Consoles",
    program_bytes: int,
    json: bool,
) -> int:
    """What a training would take."""
    from jitnet import render
    from jitnet.runs.dry_run import estimate

    if not json:
        show_plan(trainer, screen)
    with render.compiling(screen, "the training loops"):
        trainer.prepare()
    found = estimate(trainer, settings, program_bytes, limit)
    if json:
        from jitnet.runs.run_training import describe

        print_json({**describe(trainer, settings), "estimate": found})
    else:
        render.estimate(screen.out, found)
    return 0


def show_range_test(trainer: "Trainer", screen: "Consoles", typed: list[str], json: bool) -> int:
    """The range test, drawn, with the command that uses its result."""
    from dataclasses import asdict

    from jitnet import render
    from jitnet.training.range_test import range_test

    with render.compiling(screen, "the training loops"):
        trainer.prepare()
    found = range_test(trainer)
    command = " ".join(["jitnet train", *typed, f"--lr {found.suggestion:g}"])
    if json:
        print_json({**asdict(found), "optimizer": trainer.config.optimizer, "command": command})
    else:
        render.range_test(screen.out, found, trainer.config.optimizer, command)
    return 0


VIEWS = {"--explain": show_program, "--print-config": print_settings, "--print-schedule": show_schedule}
"""What is shown of a trainer that has not begun, by the option that asks for it."""
