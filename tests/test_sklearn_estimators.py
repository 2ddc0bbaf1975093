"""The estimators: what they learn, how they go on, what they keep in a file, and how they refuse."""

import pickle
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import environment

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, load_linnerud
from sklearn.exceptions import NotFittedError

import jitnet
from jitnet.machine.host import describe_machine
from jitnet.sklearn import MLPClassifier, MLPRegressor
from jitnet.sklearn.parameters import PARAMETERS
from jitnet.tables import table_from_frame

SMALL = {"hidden_layer_sizes": (16,), "max_iter": 20, "batch_size": 32, "learning_rate_init": 0.02, "random_state": 3}
SMALL |= {"early_stopping": False}
X, Y = load_iris(return_X_y=True)
KINDS = load_iris().target_names[Y]


def same(first, second) -> bool:
    pairs = zip([*first.coefs_, *first.intercepts_], [*second.coefs_, *second.intercepts_], strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


def test_classes_of_words_are_learned():
    model = MLPClassifier(**SMALL | {"max_iter": 60}).fit(X, KINDS)
    assert list(model.classes_) == ["setosa", "versicolor", "virginica"]
    assert model.score(X, KINDS) > 0.95
    probabilities = model.predict_proba(X)
    assert probabilities.shape == (150, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-12)
    assert (model.classes_[probabilities.argmax(axis=1)] == model.predict(X)).all()
    np.testing.assert_array_equal(model.predict_log_proba(X), np.log(probabilities))
    assert len(model.loss_curve_) == model.n_iter_ == 60
    assert model.validation_scores_ is None
    assert [weights.shape for weights in model.coefs_] == [(4, 16), (16, 3)]
    assert [biases.shape for biases in model.intercepts_] == [(16,), (3,)]


def test_several_numbers_are_learned_each_in_its_unit():
    x, y = load_linnerud(return_X_y=True)
    model = MLPRegressor(**SMALL | {"max_iter": 300}).fit(x, y)
    assert model.predict(x).shape == (20, 3)
    assert model.score(x, y) > 0.7
    assert MLPRegressor(**SMALL).fit(x, y[:, 0]).predict(x).shape == (20,)


@pytest.mark.parametrize("loss", ["squared_error", "absolute-error", "huber", "poisson", "quantile"])
def test_losses_of_numbers(loss):
    x, y = load_diabetes(return_X_y=True)
    model = MLPRegressor(**SMALL | {"loss": loss}).fit(x, y)
    assert model.score(x, y) > 0.4


def test_quantiles_in_the_unit_of_the_target(tmp_path):
    x, y = load_diabetes(return_X_y=True)
    model = MLPRegressor(**SMALL | {"loss": "quantile", "quantiles": (0.1, 0.6, 0.9)}).fit(x, y)
    found = model.predict_quantiles(x)
    assert found.shape == (442, 3)
    assert (np.diff(found, axis=1) >= 0).all()
    np.testing.assert_array_equal(model.predict(x), found[:, 1])
    assert 0.7 < np.mean((y >= found[:, 0]) & (y <= found[:, 2])) < 0.9
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(MLPRegressor.load(tmp_path / "model.safetensors").predict_quantiles(x), found)
    both = MLPRegressor(**SMALL | {"loss": "quantile"}).fit(x, np.column_stack([y, -y]))
    assert both.predict_quantiles(x).shape == (442, 2, 3)
    assert both.predict(x).shape == (442, 2)
    with pytest.raises(ValueError, match="predict_quantiles: the loss is squared-error; fit with loss='quantile'"):
        MLPRegressor(**SMALL).fit(x, y).predict_quantiles(x)


def test_several_labels_at_once(tmp_path):
    labels = np.column_stack([Y > 0, Y > 1, X[:, 0] > 5.8]).astype(int)
    model = MLPClassifier(**SMALL | {"max_iter": 60}).fit(X, labels)
    predicted, probabilities = model.predict(X), model.predict_proba(X)
    assert predicted.shape == probabilities.shape == (150, 3)
    np.testing.assert_array_equal(predicted, probabilities > 0.5)
    assert (predicted == labels).mean() > 0.9
    assert list(model.classes_) == [0, 1, 2]
    model.save(tmp_path / "model.safetensors")
    loaded = MLPClassifier.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict(X), predicted)
    with pytest.raises(ValueError, match=r"y: has the shape \(150,\); expected 3 labels for each row"):
        loaded.partial_fit(X, Y)
    with pytest.raises(ValueError, match="class_weight: rows have several labels each"):
        MLPClassifier(**SMALL | {"class_weight": "balanced"}).fit(X, labels)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("more", [{}, {"solver": "sgd"}, {"ema": 0.9, "dropout": 0.2}], ids=str)
def test_one_rule_for_fitting_again(kind, more):
    """Steps by hand, a training that goes on, and one that begins again: all end with the same bits."""
    options = SMALL | {"schedule": "constant"} | more
    whole = kind(**options).fit(X, Y)
    assert same(whole, clone(whole).fit(X, Y).fit(X, Y))
    step_by_step = kind(**options)
    for _ in range(20):
        step_by_step.partial_fit(X, Y)
    assert same(whole, step_by_step)
    in_parts = kind(**options | {"max_iter": 5, "warm_start": True})
    for _ in range(4):
        in_parts = pickle.loads(pickle.dumps(in_parts.fit(X, Y)))
    assert same(whole, in_parts)
    assert whole.loss_curve_ == step_by_step.loss_curve_ == in_parts.loss_curve_
    assert step_by_step.n_iter_ == in_parts.n_iter_ == 20


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(
    "more", [{}, {"solver": "nesterov", "early_stopping": "best"}, {"ema": 0.9, "dropout": 0.2}], ids=str
)
def test_a_pickle_between_batches_changes_no_bit(kind, more):
    through, pickled = kind(**SMALL | more), kind(**SMALL | more)
    classes = {"classes": [0, 1, 2]} if kind is MLPClassifier else {}
    batches = [np.arange(start, 150, 3) for start in (0, 1, 2)]
    for rows in [*batches, *batches]:
        through.partial_fit(X[rows], Y[rows], **classes)
        pickled = pickle.loads(pickle.dumps(pickled.partial_fit(X[rows], Y[rows], **classes)))
    assert same(through, pickled)
    assert through.loss_curve_ == pickled.loss_curve_
    assert same(through.fit(X, Y), clone(pickled).fit(X, Y))


def test_partial_fit_learns_classes_that_later_batches_bring():
    model = MLPClassifier(**SMALL)
    model.partial_fit(X[:100], Y[:100], classes=[0, 1, 2])  # its rows decide the scaling
    for _ in range(30):
        for rows in (slice(0, 70), slice(70, 150)):
            model.partial_fit(X[rows], Y[rows])
    assert set(model.predict(X)) == {0, 1, 2}
    assert model.score(X, Y) > 2 / 3  # more than two classes alone could be
    with pytest.raises(ValueError, match=r"y: holds the class 7; expected the classes of the first call, \[0 1 2\]"):
        model.partial_fit(X, np.where(Y == 2, 7, Y))
    with pytest.raises(ValueError, match=r"classes: found \[0 1\]; expected those of the first call, \[0 1 2\]"):
        model.partial_fit(X, Y, classes=[1, 0])
    model.partial_fit(X, Y, classes=[2, 1, 0])
    with pytest.raises(ValueError, match="partial_fit: early_stopping is True; expected False"):
        MLPClassifier(early_stopping=True).partial_fit(X, Y)


@pytest.mark.parametrize(
    ("kind", "options", "y", "message"),
    [
        (MLPClassifier, {"loss": "mse"}, Y, "loss: expected auto or cross_entropy, found 'mse'"),
        (
            MLPRegressor,
            {"loss": "mse"},
            Y,
            "loss: expected auto, squared_error, absolute_error, huber, quantile or poisson, found 'mse'",
        ),
        (
            MLPClassifier,
            {"class_weight": "even"},
            Y,
            "class_weight: expected None, \"balanced\" or a dict of weights by class, found 'even'",
        ),
        (
            MLPClassifier,
            {"class_weight": {"a": 2.0}},
            Y,
            "class_weight: has weights of 'a'; expected classes of y, [0, 1, 2]",
        ),
        (MLPClassifier, {"class_weight": {1: -2.0}}, Y, "class_weight: expected a number of 0 or more, found -2.0"),
        (
            MLPRegressor,
            {},
            np.where(Y == 1, "cat", "7"),
            "y: holds 'cat'; expected numbers, or MLPClassifier where these are classes",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_message_names_what_the_user_wrote(kind, options, y, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kind(**SMALL | options).fit(X, y)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_by_default_a_fifth_is_held_out_and_the_best_epoch_kept(kind):
    """Of equal epochs the last; and of few rows, or where a training is to go on, none are held out."""
    options = SMALL | {"early_stopping": "best", "learning_rate_init": 0.1}
    assert (kind().early_stopping, kind().validation_fraction) == ("best", 0.2)
    model = kind(**options).fit(X, Y)
    assert len(model.validation_scores_) == model.n_iter_ == 20
    shorter = kind(**options | {"schedule": "constant", "max_iter": 20}).fit(X, Y)
    again = kind(
        **options | {"schedule": "constant", "max_iter": 20 - int(np.argmax(shorter.validation_scores_[::-1]))}
    )
    assert same(shorter, again.fit(X, Y))
    for few in (kind(**options).fit(X[::4], Y[::4]), kind(**options | {"warm_start": True}).fit(X, Y)):
        assert few.validation_scores_ is None
    with pytest.raises(ValueError, match="early_stopping: expected True, False or \"best\", found 'first'"):
        kind(**options | {"early_stopping": "first"}).fit(X, Y)


def test_held_out_rows_choose_the_epoch_and_end_the_training():
    model = MLPClassifier(**SMALL | {"max_iter": 500, "early_stopping": True, "n_iter_no_change": 3}).fit(X, Y)
    assert model.n_iter_ < 500
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_
    assert max(scores) == max(scores[:-3])
    given = MLPClassifier(**SMALL | {"eval_set": (X[::3], Y[::3])}).fit(X, Y)
    assert given.n_iter_ == 20
    assert given.score(X[::3], Y[::3]) == max(given.validation_scores_)


def test_a_time_limit_ends_a_training_and_keeps_what_it_has():
    begun = time.perf_counter()
    model = MLPClassifier(max_iter=1_000_000, time_limit=2.0, random_state=0).fit(X, Y)
    assert time.perf_counter() - begun < 60
    assert 0 < model.n_iter_ < 1_000_000
    assert model.predict(X).shape == Y.shape


def test_weights_count_rows():
    """A weight of zero leaves a row out, whatever is in it; a weight of two counts twice."""
    weights = np.where(np.arange(150) % 5 == 0, 0.0, 1.0)
    spoiled = np.where(weights[:, None] == 0.0, 1e9, X)
    options = SMALL | {"batch_size": 300}
    kept = MLPClassifier(**options).fit(X[weights > 0], Y[weights > 0])
    assert same(kept, MLPClassifier(**options).fit(spoiled, Y, sample_weight=weights))
    twice = MLPClassifier(**options).fit(np.vstack([X, X[Y == 1]]), np.concatenate([Y, Y[Y == 1]]))
    weighted = MLPClassifier(**options).fit(X, Y, sample_weight=1.0 + (Y == 1))
    np.testing.assert_allclose(weighted.predict_proba(X), twice.predict_proba(X), atol=1e-5)
    classes = MLPClassifier(**options | {"class_weight": {0: 1.0, 1: 2.0, 2: 1.0}}).fit(X, Y)
    assert same(classes, weighted)
    balanced = MLPClassifier(**options | {"class_weight": "balanced"}).fit(X[20:], Y[20:])
    assert not same(balanced, MLPClassifier(**options).fit(X[20:], Y[20:]))
    with pytest.raises(ValueError, match="sample_weight: the weights of all samples are zero"):
        MLPRegressor(**SMALL).fit(X, Y, sample_weight=np.zeros(150))


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_a_file_holds_what_predictions_need(tmp_path, kind):
    path = tmp_path / "model.safetensors"
    model = kind(**SMALL | {"early_stopping": True, "dropout": (0.1,)}).fit(X, Y)
    model.save(path)
    loaded = kind.load(path)
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert same(loaded, model)
    assert (loaded.n_iter_, loaded.n_features_in_) == (model.n_iter_, 4)
    assert loaded.loss_curve_ == model.loss_curve_
    assert loaded.validation_scores_ == model.validation_scores_
    assert loaded.set_params(early_stopping=False).partial_fit(X, Y).n_iter_ == model.n_iter_ + 1
    other = MLPRegressor if kind is MLPClassifier else MLPClassifier
    with pytest.raises(jitnet.ModelError, match=rf"its network predicts .*; load it with {kind.__name__}\.load"):
        other.load(path)


@pytest.mark.parametrize("labels", [np.array(["a", "b", "c"], object), np.array([-1.0, 0.0, 7.0]), np.array([3, 5, 9])])
def test_classes_are_the_same_from_a_file(tmp_path, labels):
    model = MLPClassifier(**SMALL).fit(X, labels[Y])
    model.save(tmp_path / "model.safetensors")
    loaded = MLPClassifier.load(tmp_path / "model.safetensors")
    assert loaded.classes_.dtype == model.classes_.dtype
    assert (loaded.predict(X) == model.predict(X)).all()


def test_the_network_in_a_file_predicts_without_the_estimator(tmp_path):
    pandas = pytest.importorskip("pandas")
    model = MLPClassifier(**SMALL).fit(pandas.DataFrame(X, columns=list("abcd")), KINDS)
    model.save(tmp_path / "model.safetensors")
    network = jitnet.Model.load(tmp_path / "model.safetensors")
    assert network.class_names == ("setosa", "versicolor", "virginica")
    frame = pandas.DataFrame(X[:, ::-1], columns=list("dcba"))
    np.testing.assert_allclose(network.predict(frame), model.predict_proba(frame[list("abcd")]), atol=1e-6)


def test_a_network_of_the_command_line_is_an_estimator(tmp_path):
    data = jitnet.load("digits")
    shape = jitnet.ModelConfig(in_features=data.in_features, n_classes=data.n_classes, hidden=(16,))
    network = jitnet.Model.create(shape, data)
    jitnet.train(network, data, jitnet.TrainConfig(epochs=2))
    network.save(tmp_path / "model.safetensors")
    model = MLPClassifier.load(tmp_path / "model.safetensors")
    assert list(model.classes_) == list(range(10))
    predicted = network.predict(data.test.images).argmax(axis=1)
    np.testing.assert_array_equal(model.predict(data.test.images), predicted)


def test_what_is_printed(capsys):
    MLPClassifier(**SMALL | {"max_iter": 2, "eval_set": (X, Y), "verbose": True}).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("Iteration 2, loss = ")
    assert "validation score = " in lines[1]
    assert lines[2] == "Trained for 2 epochs."
    MLPClassifier(**SMALL | {"max_iter": 2}).fit(X, Y)
    assert capsys.readouterr().out == ""


BAD = {
    "activation": ("logistic", "activation: expected relu, .*, found 'logistic'"),
    "solver": ("lbfgs", "solver: expected sgd, .*, found 'lbfgs'"),
    "max_iter": (0, "max_iter: expected a whole number from 1 to 1,000,000, found 0"),
    "hidden_layer_sizes": ((16, 0), "hidden_layer_sizes: expected .*, found 0"),
    "alpha": (-1.0, "alpha: expected a number of 0 or more, found -1.0"),
    "batch_size": (0, "batch_size: expected a whole number from 1 to 1,000,000, found 0"),
    "learning_rate_init": (0.0, "learning_rate_init: expected a number above 0, .*, found 0.0"),
    "dropout": (1.0, "dropout: expected .*, found 1.0"),
    "loss": ("hinge", "loss: expected auto or cross_entropy, found 'hinge'"),
    "schedule": ("adaptive", "schedule: expected constant, .*, found 'adaptive'"),
    "n_threads": (0, "n_threads: expected a whole number from 1 to 1,024, found 0"),
    "random_state": (-1, "random_state: expected a whole number from 0 .*, found -1"),
    "time_limit": ("1 h", "time_limit: expected a number above 0, found '1 h'"),
    "eval_set": (3, r"eval_set: expected a pair \(X, y\), found 3"),
    "categorical_features": (["q"], "categorical_features: expected a list of names of columns .*, found 'q'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_parameter_is_named(name):
    value, message = BAD[name]
    with pytest.raises(ValueError, match=f"^{message}"):
        MLPClassifier(**SMALL | {name: value}).fit(X, Y)
    assert not hasattr(MLPClassifier(**SMALL), "coefs_")


def test_data_that_cannot_be_learned_from_are_refused():
    with pytest.raises(ValueError, match=r"y: holds one class, 'one'; expected two classes or more"):
        MLPClassifier(**SMALL).fit(X, ["one"] * 150)
    with pytest.raises(ValueError, match=r"validation_fraction: expected a number above 0 and below 1, found 0"):
        MLPClassifier(**SMALL | {"early_stopping": True, "validation_fraction": 0}).fit(X, Y)
    with pytest.raises(ValueError, match="y: holds 'setosa'; expected numbers"):
        MLPRegressor(**SMALL).fit(X, KINDS)
    with pytest.raises(ValueError, match="infinity"):
        MLPRegressor(**SMALL).fit(np.where(X > 7, np.inf, X), Y)
    with pytest.raises(NotFittedError):
        MLPRegressor().predict(X)


def test_a_training_that_diverges_leaves_what_was_fitted():
    model = MLPRegressor(**SMALL | {"warm_start": True, "solver": "sgd", "learning_rate_init": 0.01}).fit(X, Y)
    before = model.predict(X)
    with pytest.raises(jitnet.DivergedError, match="lower the learning rate"):
        model.set_params(learning_rate_init=1000.0, schedule="constant").fit(X, Y)
    np.testing.assert_array_equal(model.predict(X), before)
    assert model.n_iter_ == 20


def test_a_training_that_goes_on_keeps_its_network_and_its_optimizer():
    model = MLPClassifier(**SMALL | {"warm_start": True}).fit(X, Y)
    for changed, message in (
        ({"hidden_layer_sizes": (8,)}, r"hidden_layer_sizes is \(8,\), and the network .* has \(16,\)"),
        ({"solver": "sgd"}, "solver is sgd, and the training .* had adam; set that, or fit a new estimator"),
        ({"ema": 0.9}, "ema is 0.9, and the training .* had 0; set that, or fit a new estimator"),
    ):
        with pytest.raises(ValueError, match=message):
            clone_fitted(model).set_params(**changed).fit(X, Y)


def test_more_threads_than_cores_are_as_many_as_there_are_with_a_warning(tmp_path):
    few, cores = MLPClassifier(**SMALL).fit(X, Y), describe_machine().affinity
    with pytest.warns(UserWarning, match=f"n_threads is {cores + 1}, and this process may use {cores} core"):
        many = MLPClassifier(**SMALL | {"n_threads": cores + 1}).fit(X, Y)
    many.save(tmp_path / "many.safetensors")
    for model in (clone_fitted(many), MLPClassifier.load(tmp_path / "many.safetensors")):
        with pytest.warns(UserWarning, match=f"it uses {cores}"):
            np.testing.assert_array_equal(model.predict_proba(X), few.predict_proba(X))


@pytest.mark.parametrize("flat", [True, False])
def test_a_negative_target_of_poisson_is_named_as_y(flat):
    targets = np.abs(X[:, :2])
    targets[7, 1] = -2.5
    y = targets[:, 1] if flat else targets
    model = MLPRegressor(**SMALL | {"loss": "poisson"})
    with pytest.raises(ValueError, match=r"^y: row 7 \(from 0\) holds -2\.5; expected numbers of 0 or more"):
        model.fit(X, y)
    with pytest.raises(ValueError, match=r"^y: row 7"):
        model.set_params(eval_set=(X, y)).fit(X, np.abs(y))


def test_the_network_of_a_file_predicts_raw_rows_by_their_names(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X * 1000.0, columns=[f"x{k}" for k in range(X.shape[1])])
    path = tmp_path / "model.safetensors"
    model = MLPClassifier(**SMALL).fit(frame.to_numpy(), Y)
    model.save(path)
    network = jitnet.Model.load(path)
    expected = model.predict_proba(frame.to_numpy())
    frame[frame.columns[::-1]].to_csv(tmp_path / "rows.csv", index=False)
    for rows in (frame, tmp_path / "rows.csv", str(tmp_path / "rows.csv")):
        np.testing.assert_allclose(network.predict(rows), expected, atol=1e-6)
    prepared = network.preparation.features(table_from_frame(frame))
    np.testing.assert_allclose(network.predict(prepared), expected, atol=1e-6)


def clone_fitted(model):
    return pickle.loads(pickle.dumps(model))


def test_without_scikit_learn_one_line_says_how_to_install_it():
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from jitnet.errors import MissingExtra\n"
        "try:\n    from jitnet.sklearn import MLPClassifier\n"
        "except MissingExtra as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    assert done.stdout == "jitnet.sklearn needs scikit-learn; install it with: pip install scikit-learn\n"


PAGE = Path(__file__).parent.parent / "docs" / "sklearn.md"


def test_the_page_names_every_parameter_and_its_program_runs(capsys):
    pytest.importorskip("pandas")
    page = PAGE.read_text(encoding="utf-8")
    parameters = {*MLPClassifier().get_params(), *MLPRegressor().get_params()}
    assert not {name for name in parameters if f"`{name}`" not in page}
    assert parameters == set(PARAMETERS)
    assert "label_smoothing=" in MLPClassifier.__doc__
    program = "\n".join(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    exec(compile(program, "sklearn.md", "exec"), {})
    score, *_, trained, same_bits, quantiles, more, same_again, same_network, together = (
        capsys.readouterr().out.splitlines()
    )
    assert float(score) > 0.9
    assert float(together) > 0.9
    assert trained.startswith("['")
    assert (same_bits, same_again, same_network) == ("True", "True", "True")
    assert quantiles.startswith("[[")
    assert more.endswith("]]")


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("factor", [2.0**600, 2.0**-600, 2.0**-1000])
def test_huge_and_tiny_targets_are_learned_as_any_others(factor, loss):
    targets = np.abs(X[:, :2])
    plain = MLPRegressor(**SMALL | {"loss": loss}).fit(X, targets)
    scaled = MLPRegressor(**SMALL | {"loss": loss}).fit(X, targets * factor)
    assert same(plain, scaled)
    np.testing.assert_array_equal(scaled.predict(X), plain.predict(X) * factor)


@pytest.mark.parametrize("values", [(-1, 1), (1, 2)])
def test_labels_other_than_0_and_1_are_refused(values):
    labels = np.where(X[:, :2] > X[:, :2].mean(axis=0), values[1], values[0])
    with pytest.raises(ValueError, match="expected 0 and 1"):
        MLPClassifier(**SMALL).fit(X, labels)


@pytest.mark.parametrize(
    ("loss", "changed"), [("quantile", {"quantiles": (0.2, 0.5, 0.7)}), ("huber", {"huber_delta": 5.0})]
)
def test_a_training_that_goes_on_cannot_have_another_loss(loss, changed):
    model = MLPRegressor(**SMALL | {"warm_start": True, "loss": loss}).fit(X, Y)
    model.set_params(**changed)
    with pytest.raises(ValueError, match=f"{next(iter(changed))} is .*fit a new estimator"):
        model.fit(X, Y)


@pytest.mark.parametrize("about", ["[]", "3", '{"parameters": {}, "learned": {}}', '{"parameters": {"nope": 1}}'])
def test_a_damaged_file_of_an_estimator_is_named(about, tmp_path):
    model = MLPClassifier(**SMALL).fit(X, Y)
    model.model_.metadata["estimator"] = about
    model.model_.save(tmp_path / "damaged.safetensors")
    with pytest.raises(jitnet.ModelError, match=r"damaged\.safetensors: its metadata have an estimator that was not"):
        MLPClassifier.load(tmp_path / "damaged.safetensors")


@pytest.mark.parametrize("other", [None, 1])
def test_classes_of_several_types_are_refused(other):
    with pytest.raises(ValueError, match="y: holds values of several types; expected classes of one"):
        MLPClassifier(**SMALL).fit(X, np.array(["a", other], object)[Y % 2])
