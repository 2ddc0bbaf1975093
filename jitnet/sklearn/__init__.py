"""Estimators of scikit-learn: `from jitnet.sklearn import MLPClassifier, MLPRegressor`.

They need scikit-learn (`pip install scikit-learn`); importing this package without it raises MissingExtra.
"""

from jitnet.errors import MissingExtra

try:
    import sklearn  # noqa: F401
except ImportError:
    raise MissingExtra("jitnet.sklearn needs scikit-learn; install it with: pip install scikit-learn") from None

from jitnet.sklearn.estimators import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
