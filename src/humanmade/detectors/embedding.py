"""One frozen network's look at pictures, the same for every recipe: how far are two sets apart?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import recipe as recipes
from humanmade.data.folds import sources_by_label
from humanmade.detectors.probe import Probe
from humanmade.schema import ProbeRecipe
from humanmade.training.budget import Budget
from humanmade.yardsticks import REFERENCE

Embedding = npt.NDArray[np.float32]


def embed(rows: pd.DataFrame, budget: Budget | None = None) -> Embedding:
    """Features (rows, dimensions) of every depth of the reference network.

    Raises:
        UserError: its weights are nowhere.
    """
    recipe = recipes.load(REFERENCE)
    assert isinstance(recipe, ProbeRecipe)
    probe = Probe(recipe)
    probe.compute(rows, ["identity"], budget)
    return probe.store.get(rows, "identity")


def name_sources(table: pd.DataFrame) -> pd.DataFrame:
    """Give each class of the train rows at least two sources: what looks alike, where the data says less.

    Raises:
        UserError: the reference network's weights are nowhere.
    """
    train = table[table["split"] == "train"]
    few = [len(names) < 2 for names in sources_by_label(train)]
    lacking = (train["source"] == "") | train["label"].map({1: few[0], 0: few[1]})
    if not lacking.any():
        return table
    blank = train.assign(source=train["source"].mask(lacking, ""))
    made = pd.Series(made_sources(blank, embed(train)), index=train.index)
    count = made[lacking].nunique()
    print(f"sources: {lacking.sum()} pictures without (enough of) them are {count} clusters of look-alikes")
    return table.assign(source=table["source"].mask(table["split"] == "train", made))


def made_sources(rows: pd.DataFrame, embedding: Embedding, count: int = 4) -> list[str]:
    """Name a source for each labelled row that has none: clusters of each class's embeddings (k-means).

    Where the data does not say where pictures come from, what looks alike is held out together.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    sources = rows["source"].to_numpy(dtype=object)
    for label, name in ((0, "photos"), (1, "generated")):
        chosen = np.flatnonzero((rows["label"] == label).to_numpy() & (sources == ""))
        if len(chosen) < count:
            continue
        features = embedding[chosen]
        reduce = PCA(min(32, *features.shape), random_state=0)
        cluster = KMeans(count, n_init=4, random_state=0)
        clusters = make_pipeline(StandardScaler(), reduce, cluster).fit_predict(features)
        sources[chosen] = [f"{name}-like-{number}" for number in clusters]
    return [str(source) for source in sources]
