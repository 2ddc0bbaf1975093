"""Settings in TOML files: what they may say, and what is wrong with one, with file, line and the nearest name."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.main import get_command

from jitnet.cli.options import FIELDS
from jitnet.config import ModelConfig, TrainConfig, recipe_names
from jitnet.config.key_lines import key_lines
from jitnet.config.settings_file import DATA_NAMES, RUNNING, SIZES, read_toml, settings_in
from jitnet.config.unused import unused_fields
from jitnet.errors import UsageError
from jitnet.runs.run_config import read_settings, settings_from
from jitnet.runs.run_settings import Settings

WRONG = [
    ("lrr = 1", 1, "lrr: there is no such setting; did you mean lr?"),
    ("label-smothing = 0.1", 1, "label-smothing: there is no such setting; did you mean label-smoothing?"),
    ("\n[train]\n# more\nepoch = 3", 4, "epoch: there is no such setting; did you mean epochs?"),
    ("[modell]\nhidden = 3", 1, "modell: there is no such setting; did you mean model?"),
    ("[train]\nqqqqqqqq = 1", 2, "qqqqqqqq: there is no such setting; jitnet train --help lists the options"),
    ("[train.augment]\nrotat = 1", 2, "rotat: there is no such setting; did you mean rotation?"),
    ("epochs = 3\n[train]\nlr = 5000", 3, "lr: expected a number above 0, up to 1,000, found 5000"),
    ('lr = "0.1"', 1, "lr: expected a number above 0, up to 1,000, found '0.1'"),
    ("lr = nan", 1, "lr: expected a number above 0, up to 1,000, found nan"),
    ("lr = inf", 1, "found inf"),
    ("epochs = true", 1, "epochs: expected a whole number from 1 to 1,000,000, found true"),
    ("epochs = 2.5", 1, "epochs: expected a whole number from 1 to 1,000,000, found 2.5"),
    ("epochs = 1979-05-27", 1, "found 1979-05-27"),
    ("epochs = {a = 1}", 1, "found a table"),
    ("input-scale = 1", 1, "input-scale: expected true or false, found 1"),
    ("hidden = [64, 0]", 1, "hidden: expected a list of whole numbers from 1 to 1,000,000, found 0"),
    ('hidden = "256,128"', 1, "hidden: expected a list of whole numbers"),
    ('schedule = "one-cyle"', 1, "found 'one-cyle'; did you mean one-cycle?"),
    ('task = "clasify"', 1, "task: expected auto, classify or regress, found 'clasify'; did you mean classify?"),
    ("augment = {shift = 1, rotation = 200}", 1, "rotation: expected a number from 0 to 180, found 200"),
    ("lr = 1\n[train]\nlearning-rate = 2", 3, "learning-rate: is set in line 1 already as lr; set it once"),
    ("[model]\nlr = 1", 2, "lr: does not belong in [model]; write it in [train] or at the top"),
    ("[train]\nrecipe = 'fast'", 2, "recipe: does not belong in [train]; write it at the top, before the first table"),
    ("model = 3", 1, "model: expected a table of settings, found 3"),
    ("in-features = 3", 1, "in-features: is decided by the data; leave it out"),
    ("out = 'runs/x'", 1, "out: is no setting of a run; type --out beside --config"),
    ("target = []", 1, "target: expected names of columns, or their numbers, from 1, found []"),
    ("group = 0", 1, "group: expected the name of a column or its number, from 1, found 0"),
    ('data = "a\\u0000.csv"', 1, "data: expected a name or a path, as text, found 'a\\x00.csv'"),
    ("\nzzz = 1\nformat = 2", 3, "is of format 2"),
    ("data = ''", 1, "data: expected a name or a path, as text, found ''"),
    ("checksum = 'abc'", 1, "checksum: expected 64 hexadecimal digits, found 'abc'"),
    ("\nformat = 2", 2, "is of format 2, which a newer version writes; this is jitnet "),
    ("format = 'x'", 1, "format: expected 1, found 'x'"),
    ("a = 1\nlr 3", 2, "is not valid TOML: expected '=' after a key in a key/value pair"),
    ("lr = [1,\n2", 2, "is not valid TOML: unclosed array"),
    ("lr = 1\nlr = 2", 2, "is not valid TOML: cannot overwrite a value"),
]


@pytest.mark.parametrize(("text", "line", "message"), WRONG, ids=[text for text, _, _ in WRONG])
def test_what_is_wrong_is_named_with_file_and_line(text, line, message):
    with pytest.raises(UsageError) as error:
        settings_in(text.encode(), "my.toml")
    said = str(error.value)
    assert said.startswith(f"my.toml, line {line}")
    assert message in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; expected settings, learning-rate = 0.1 for example"),
        (b" \n\n", "is empty"),
        (b"# only a comment\n", "sets nothing"),
        ("lr = 1\n".encode("utf-16"), "is text in UTF-16; save it as UTF-8"),
        ("lr = 1 # caf\xe9\n".encode("latin-1"), ", line 1: the byte 0xe9 is not UTF-8 text; save it as UTF-8"),
        (bytes(range(256)), "is not text; expected a TOML file of settings, or a run folder"),
        (b"#" * (2 << 20), "is larger than 1,048,576 bytes"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "too deep to read"),
        (b"lr = " + b"9" * 5000, "cannot be read"),
        (b"{", "is not whole JSON"),
        (b"[]", ", line 1, column 2: is not valid TOML"),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else "",
)
def test_what_is_no_file_of_settings(tmp_path, content, message):
    path = tmp_path / "my.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as error:
        read_settings(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)
    assert len(str(error.value)) < 300


def test_where_there_is_no_file_of_settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path, message in [
        ("no.toml", "no.toml: there is no such file or folder"),
        ("fast", "fast: there is no such file or folder; the recipe is --recipe fast"),
        (".", "the folder holds no config.json; expected a run folder, or a TOML file of settings"),
        ("x.safetensors", "is a model; expected its run folder"),
    ]:
        with pytest.raises(UsageError, match=message.replace(".", r"\.")):
            read_settings(path)


def test_a_byte_order_mark_and_windows_line_ends_are_accepted():
    assert settings_in(b"\xef\xbb\xbflr = 1\r\nepochs = 3\r\n", "my.toml").training[""] == {
        "learning_rate": 1,
        "epochs": 3,
    }


def test_names_are_those_of_options_or_fields_flat_or_in_tables():
    flat = "lr = 0.5\nhidden = 64\ntarget-acc = 98\nshift = 1\noutput_bias = false\ndropout = [0.1]\n"
    tables = """
[model]
hidden = [64]
output-bias = false
[train]
learning-rate = 0.5
dropout = 0.1
target_accuracy = 98
[train.augment]
shift = 1
"""
    read = [
        settings_in(text.encode(), "my.toml")
        for text in (flat, tables, "augment.shift = 1\n" + flat.replace("shift = 1\n", ""))
    ]
    for each in read:
        assert each.network == {"": {"hidden": (64,), "output_bias": False}}
        assert each.training == {
            "": {"learning_rate": 0.5, "dropout": (0.1,), "target_accuracy": 98, "augment": {"shift": 1}}
        }


def test_every_option_of_a_field_and_every_field_is_a_setting():
    fields = [(field, flag) for field in chain(*FIELDS.values()) for flag in field.flags]
    for field, flag in fields:
        kind, leaf = field.home
        default = kind.model_fields[leaf].default
        value = list(default) if isinstance(default, tuple) else default
        found = settings_from({flag.removeprefix("--"): value}, "test")
        assert found == settings_from({flag.removeprefix("--").replace("-", "_"): value}, "test")
        assert found != Settings(by_task=found.by_task)
    for table, kind in (("model", ModelConfig), ("train", TrainConfig)):
        for name, info in kind.model_fields.items():
            if name not in (*SIZES, "augment"):
                default = list(info.default) if isinstance(info.default, tuple) else info.default
                settings_from({table: {name: default}}, "test")


def test_every_other_option_of_train_is_a_setting_or_says_what_to_do_with_a_run():
    from jitnet.cli.train import app

    names = [parameter.opts[0].removeprefix("--").replace("-", "_") for parameter in get_command(app).params]
    settings = {name for name in names if name in DATA_NAMES or name == "recipe"}
    fields = {flag.removeprefix("--").replace("-", "_") for field in chain(*FIELDS.values()) for flag in field.flags}
    assert set(names) - fields - settings - {"help"} == set(RUNNING)


def test_weights_of_classes_may_be_a_table():
    assert settings_from({"class-weight": {"cat": 1, "a, b": 2.5}}, "test").training == {
        "class_weight": "cat=1,a, b=2.5"
    }


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("epochs = 3\n# c\nwarmup = 9", 3, "warmup is 9, longer than the whole run of 3 epochs (epochs)"),
        ("lr = 1\nmomentum = 0.8", 2, "momentum is 0.8, which --optimizer sgd does not use"),
        ("[classify.train]\nwarmup = 11", 2, "warmup is 11, longer than"),
        ("hidden = [3]\n\ndropout = [0.1, 0.2]", 3, "dropout has 2 rates; give one, for the one hidden layer"),
        ("patience = 2", 1, "patience is 2, with no held-out data to watch; set --val-split"),
        ("recipe = 'fats'", 1, "recipe: there is no recipe 'fats'"),
        ("recipe = 'x/y.toml'", 1, "recipe: there is no file"),
        ("recipe = './dir'", 1, "recipe: there is no file"),
    ],
)
def test_what_does_not_fit_together_is_named_with_file_and_line(tmp_path, text, line, message):
    from jitnet.cli.options import settings_of

    path = tmp_path / "my.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        settings_of({}).over(read_settings(path)).resolve()
    assert str(error.value).startswith(f"{path}, line {line}: {message}")


def test_in_the_library_a_file_s_names_are_used(tmp_path):
    (tmp_path / "my.toml").write_text("target-acc = 0.5\n")
    with pytest.raises(UsageError, match=r"my\.toml, line 1: target-acc is 0\.5, below one percent; did you mean 50"):
        read_settings(tmp_path / "my.toml").resolve()


def over(file: dict, typed: dict, recipe: str | None = None) -> tuple[dict, TrainConfig]:
    top = settings_from(typed, "typed")
    return (
        Settings(network=top.network, training=top.training, recipe=recipe)
        .over(settings_from(file, "my.toml"))
        .resolve()
    )


def test_what_is_typed_wins_over_the_file_and_the_file_over_its_recipe():
    network, config = over({"recipe": "fast", "epochs": 7, "hidden": 64}, {"epochs": 2})
    assert (config.epochs, config.learning_rate, config.label_smoothing, network["hidden"]) == (2, 0.9, 0.05, (64,))
    network, config = over({"epochs": 7, "batch_size": 64, "lr": 0.1}, {"epochs": 2}, recipe="affine")
    assert (config.epochs, config.batch_size, config.learning_rate, config.augment.shear) == (2, 32, 0.8, 5.0)


@pytest.mark.parametrize(
    ("file", "typed", "dropped"),
    [
        ({"optimizer": "adam", "beta1": 0.8, "lr": 0.5}, {"optimizer": "lion"}, {"beta1": 0.9, "learning_rate": 0.001}),
        ({"schedule": "step", "step_every": 2, "decay": 0.1}, {"schedule": "constant"}, {"step_every": 3.0}),
        ({"val_split": 0.1, "patience": 3, "keep": "last"}, {"val_split": 0}, {"patience": 0, "keep": "best"}),
        ({"input_scale": True, "input_scale_rate": 6}, {"input_scale": False}, {"input_scale_rate": 1.0}),
    ],
    ids=str,
)
def test_settings_that_have_no_use_with_what_is_typed_are_dropped(file, typed, dropped):
    _, config = over(file, typed)
    assert {name: getattr(config, name) for name in dropped} == dropped


def test_a_mistake_in_a_file_is_one_whatever_else_is_typed():
    with pytest.raises(UsageError, match=r"momentum is 0\.8, which optimizer sgd does not use"):
        over({"optimizer": "sgd", "momentum": 0.8}, {"epochs": 3})


def test_fields_of_one_task_are_those_of_files_too():
    file = settings_from({"lr": 0.5, "regress": {"train": {"lr": 0.01}, "model": {"activation": "mish"}}}, "my.toml")
    assert file.resolve("classify")[1].learning_rate == 0.5
    network, config = file.resolve("regress")
    assert (network["activation"], config.learning_rate) == ("mish", 0.01)


def test_a_recipe_may_be_a_file_and_has_no_data(tmp_path):
    (tmp_path / "mine.toml").write_text("hidden = 32\n[train]\nlr = 0.3\n")
    (tmp_path / "run.toml").write_text('recipe = "./mine.toml"\nepochs = 3\n')
    for each in (Settings(recipe=str(tmp_path / "mine.toml")), read_settings(tmp_path / "run.toml")):
        network, config = each.resolve()
        assert (network["hidden"], config.learning_rate) == ((32,), 0.3)
    (tmp_path / "mine.toml").write_text("data = 'digits'\n")
    with pytest.raises(
        UsageError, match=r"mine\.toml, line 1: data: a recipe has settings of the network and the training"
    ):
        Settings(recipe=str(tmp_path / "mine.toml")).resolve()


def test_paths_in_a_file_are_relative_to_it(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "my.toml").write_text('data = "houses.csv"\ntest-data = "../test.csv"\ntarget = "price"\n')
    monkeypatch.chdir(tmp_path)
    found = read_settings("in/my.toml")
    assert (found.data, found.test_data) == ("in/houses.csv", Path("in/../test.csv"))
    (tmp_path / "in" / "my.toml").write_text('data = "digits"\n')
    assert read_settings("in/my.toml").data == "digits"
    (tmp_path / "in" / "my.toml").write_text('data = "/tmp/x.csv"\n')
    assert read_settings("in/my.toml").data == "/tmp/x.csv"


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_are_files_of_settings(name):
    import jitnet.config.recipes as folder

    file = read_toml(Path(folder.__file__).parent / f"{name}.toml")
    assert file.others["about"]
    assert file.training[""]


KEYS = st.lists(st.text("ab.-_ #\"'é=[\n", min_size=1, max_size=4), min_size=1, max_size=3)
TEXTS = st.text(alphabet="ab\"'[]{}#=\\\n,. \té", max_size=12)


def quoted(text: str) -> str:
    escaped = "".join(f"\\u{ord(one):04x}" if ord(one) < 32 or ord(one) in (34, 92, 127) else one for one in text)
    return f'"{escaped}"'


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(KEYS, TEXTS, st.sampled_from(["basic", "multi", "array", "table"])), max_size=6))
def test_the_line_of_each_key_is_found(entries):
    """Whatever strings and comments look like."""
    lines, expected, seen = [], {}, set()
    for number, (keys, text, kind) in enumerate(entries):
        path = (f"k{number}", *keys)
        if path in seen:
            continue
        seen.add(path)
        key = ".".join(map(quoted, path))
        expected[path] = len("\n".join(lines).split("\n")) + bool(lines)
        value = {
            "basic": quoted(text),
            "multi": '"""\n' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "") + '"""',
            "array": f"[ # {text.splitlines()[0] if text.splitlines() else ''}\n  {quoted(text)}, ]",
            "table": f"{{a = {quoted(text)}, b = [1, 2]}}",
        }[kind]
        lines.append(f"{key} = {value} # x = [")
    whole = "\n".join(lines)
    tomllib.loads(whole)
    assert key_lines(whole) == expected


def test_unused_fields_are_those_that_a_config_refuses():
    """Each field, changed from its default beside the defaults, is either accepted or known to be without effect."""
    values = {
        "momentum": 0.5, "beta1": 0.5, "beta2": 0.5, "rho": 0.5, "epsilon": 0.1, "input_scale_rate": 2.0,
        "step_every": 1.0, "decay": 0.1, "final_fraction": 0.5, "patience": 1, "monitor": "loss", "keep": "last",
        "augment": {"elastic_sigma": 2.0}, "huber_delta": 2.0, "quantiles": (0.5,),
    }  # fmt: skip
    unused = unused_fields({}, {})
    for name, value in values.items():
        in_network = name in ModelConfig.model_fields
        chosen = Settings(**{"network" if in_network else "training": {name: value}})
        path = "augment.elastic_sigma" if name == "augment" else name
        if path in unused:
            with pytest.raises(UsageError):
                chosen.resolve()
        else:
            chosen.resolve()


def test_the_file_in_the_documents_can_be_read(tmp_path):
    page = Path(__file__).parent.parent / "docs" / "runs.md"
    block, *_ = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "my.toml").write_text(block)
    network, config = read_settings(tmp_path / "my.toml").resolve()
    assert (network["activation"], config.learning_rate, config.epochs, config.label_smoothing) == ("gelu", 0.05, 20, 0)
