"""Finished runs on the test set with a recipe's TTA views, and their mean. `humanmade push` fills it in."""

from humanmade.kaggle import runtime

RECIPE = "convnext_tiny"
RUNS = ()
SETTINGS = ()
RUN_ID = ""

if __name__ == "__main__":
    with runtime.session(RUN_ID) as session:
        session.predict(RECIPE, RUNS, SETTINGS)
