#!/usr/bin/env python3
"""Writes tests/golden/roc.json: curves and areas of scikit-learn on scores with and without ties.

    scripts/peers/roc.py > tests/golden/roc.json

It needs `pip install scikit-learn scipy` (written with 1.9 and 1.17). The unit tests of
src/stats compare with the file. DeLong's variance, which scikit-learn lacks, is computed
here pair by pair as in the paper, and Clopper and Pearson's bounds by scipy.
"""
import json
import random
import sys

import numpy
import scipy.stats
import sklearn
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve


def delong(scores, labels):
    """Returns the variance of the area by the structural components of every pair."""
    positive = [score for score, label in zip(scores, labels) if label]
    negative = [score for score, label in zip(scores, labels) if not label]
    psi = numpy.array([[1.0 if p > n else 0.5 if p == n else 0.0 for n in negative] for p in positive])
    return numpy.var(psi.mean(axis=1), ddof=1) / len(positive) + numpy.var(psi.mean(axis=0), ddof=1) / len(negative)


def case(name, scores, labels):
    fpr, tpr, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    precision, recall, pr_thresholds = precision_recall_curve(labels, scores)
    return {
        "name": name, "scores": scores, "labels": labels,
        "auc": roc_auc_score(labels, scores), "delong_variance": delong(scores, labels),
        "average_precision": average_precision_score(labels, scores),
        # The first point of scikit-learn calls nothing positive; its threshold is infinite.
        "fpr": list(fpr[1:]), "tpr": list(tpr[1:]), "thresholds": list(thresholds[1:]),
        # Ascending, and with a last point that has no threshold.
        "precision": list(precision[:-1]), "recall": list(recall[:-1]), "pr_thresholds": list(pr_thresholds),
    }


def main():
    draw = random.Random(7)
    cases = [
        case("worked", [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]),
        case("tied", [0.5, 0.5, 0.5, 0.2, 0.9, 0.2], [1, 0, 1, 0, 1, 1]),
        case("all tied", [1.0] * 6, [1, 0, 1, 0, 0, 1]),
        case("separated", [3.0, 2.0, -1.0, -2.0], [1, 1, 0, 0]),
        case("reversed", [-3.0, -2.0, 1.0, 2.0], [1, 1, 0, 0]),
    ]
    for count, digits in [(60, 6), (120, 1), (200, 0)]:
        labels = [int(draw.random() < 0.3) for _ in range(count)]
        scores = [round(draw.gauss(1.2 * label, 1.0), digits) + 0.0 for label in labels]
        cases.append(case(f"{count} normal, {digits} digits", scores, labels))
    # One-sided 95 %: the 0.95 quantile of a beta distribution.
    pairs = [(0, 10), (1, 10), (2, 20), (5, 73), (50, 1000), (199, 200), (3, 20000)]
    bounds = [[k, n, scipy.stats.beta.ppf(0.95, k + 1, n - k)] for k, n in pairs]
    versions = {"scikit-learn": sklearn.__version__, "scipy": scipy.__version__, "numpy": numpy.__version__}
    made_by = "scripts/peers/roc.py"
    json.dump({"made_by": made_by, "versions": versions, "cases": cases, "upper_bounds": bounds}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
