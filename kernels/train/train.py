"""All folds of a recipe, then test logits and a submission. `humanmade push` fills in the values."""

from humanmade.kaggle import runtime

RECIPE = "convnext_tiny"
SETTINGS = ()
HOURS = 11.0
RESUME = ""
CV_OPTIONS = ()
EXTRA = ()
RUN_ID = ""

if __name__ == "__main__":
    with runtime.session(RUN_ID) as session:
        session.train(RECIPE, SETTINGS, HOURS, RESUME, CV_OPTIONS, EXTRA)
