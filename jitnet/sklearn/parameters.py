"""What each parameter of the estimators means: their docstrings are made of it."""

import inspect

__all__ = ["PARAMETERS", "describe_parameters"]

PARAMETERS = {
    "hidden_layer_sizes": "Units of each hidden layer, first to last: a tuple, or one number; () for a linear model.",
    "activation": 'What follows every hidden layer: "relu", "tanh", "gelu", "silu", "mish" or "selu".',
    "solver": 'The optimizer: "sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw" or "lion".',
    "alpha": "L2 penalty, divided by the samples of a batch as scikit-learn divides it; it counts for biases too. With "
    "adamw and lion it is the decoupled weight decay itself, and is not divided.",
    "batch_size": 'Samples of a step; "auto" is 256, or all where there are fewer.',
    "learning_rate_init": 'Peak learning rate; "auto" is 0.04 for classes and 0.07 for numbers with adam, else the '
    "solver's default for the loss.",
    "schedule": 'How the learning rate changes over a fit: "constant", "step", "exponential", "cosine", "one-cycle" or '
    '"coslog4".',
    "max_iter": "Epochs of a fit. All are trained, unless early_stopping or time_limit end it.",
    "loss": 'What training minimises; "auto" is cross-entropy, or binary cross-entropy where rows have several labels.',
    "huber_delta": "With the loss huber, the distance to the target from which it is linear, in standard deviations.",
    "quantiles": "With the loss quantile, the quantiles that predict_quantiles returns, ascending.",
    "dropout": "Rate at which hidden units are dropped: one for all hidden layers, or a tuple of one for each.",
    "label_smoothing": "Share of the target that is spread evenly over the classes.",
    "ema": "Decay of the moving average of the weights, per step, which predictions then use; 0 is off.",
    "class_weight": 'What rows of a class count: None, "balanced", or a dict of weights by class.',
    "early_stopping": '"best" holds rows out and keeps the epoch with the best score on them, of equal ones the last; '
    "with fewer than 50 rows or warm_start it is False. True also ends the training once that score is no better for "
    "n_iter_no_change epochs. False trains on all rows and keeps the last epoch.",
    "validation_fraction": "Share of the rows that early_stopping holds out, stratified by class.",
    "n_iter_no_change": "Epochs without a better score before early_stopping ends the training.",
    "eval_set": "(X, y) to watch in place of held-out rows. The network keeps the epoch with the best score on them, "
    "whether early_stopping is on or not.",
    "time_limit": "Seconds after which a fit ends with what it has; None is no limit.",
    "categorical_features": "Columns of numbers that are categories: names, numbers from 0, or a mask. Columns of "
    "words and of pandas' categories are categories anyway.",
    "random_state": "A whole number is the seed, and decides every bit; None draws a new one for each fit.",
    "warm_start": "Whether fit goes on from the last fit: its weights, the state of its optimizer, its scaling of X. "
    "The schedule begins again.",
    "n_threads": "Threads to train and predict on; None chooses by trying, and is one in a worker of joblib.",
    "verbose": "Whether a line is printed for each epoch.",
}


def describe_parameters(estimator: type) -> str:
    """Return a line or more for each parameter of an estimator, with its default, as a docstring has them."""
    shown = []
    for parameter in list(inspect.signature(estimator).parameters.values()):
        shown.append(f"    {parameter.name}={parameter.default!r}\n        {PARAMETERS[parameter.name]}")
    return "\n".join(shown)
