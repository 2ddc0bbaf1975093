"""Make `data/digits.safetensors` from the digits that scikit-learn ships: python scripts/make_digits.py

Needs scikit-learn. `data/README.md` says what is changed.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from jitnet.datasets import Split, safetensors_file, stratified_split

TARGET = Path(__file__).parents[1] / "data" / "digits.safetensors"
N_TEST = 360


def main() -> None:
    """Convert to uint8, split, and write with credit and licence in the metadata."""
    digits = load_digits()
    images = digits.images.astype(np.uint8)
    if not (images == digits.images).all() or images.max() != 16:
        raise SystemExit("the digits are not whole numbers in 0..16; expected scikit-learn's load_digits")
    whole = Split(images, digits.target.astype(np.int64))
    train, test = stratified_split(whole, N_TEST / len(whole), seed=0)
    arrays = {
        "train_images": train.images,
        "train_labels": train.labels.astype(np.uint8),
        "test_images": test.images,
        "test_labels": test.labels.astype(np.uint8),
    }
    metadata = {
        "class_names": '["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]',
        "title": "Optical Recognition of Handwritten Digits (the test part, as shipped by scikit-learn)",
        "credit": "E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository, https://doi.org/10.24432/C50P49",
        "licence": "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
        "changes": "values converted from float64 to uint8; split into train and test, stratified by class",
    }
    TARGET.parent.mkdir(exist_ok=True)
    safetensors_file.write(TARGET, arrays, metadata)
    print(f"{TARGET}: {len(train)} to train on, {len(test)} to test on, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
