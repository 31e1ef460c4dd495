"""Several kernels' runs to one submission; settings such as method=rank. Filled in at push."""

from humanmade.kaggle import runtime

RUNS = ()
SETTINGS = ()
RUN_ID = ""

if __name__ == "__main__":
    with runtime.session(RUN_ID, gpu=False) as session:
        session.blend(RUNS, SETTINGS)
