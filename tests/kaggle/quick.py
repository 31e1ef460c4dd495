"""The command line with a kernel's script replaced by one line; its metadata are the shipped ones.

`python -m tests.kaggle.quick push train ...`: packing takes seconds, and has tests of its own.
"""

import sys

from humanmade import commands
from humanmade.kaggle import bundle

if __name__ == "__main__":
    bundle._script = lambda folder, request: f'RUN_ID = "{request.run_id}"\n'
    bundle.self_test = lambda folder: f"{folder}: tested"
    sys.exit(commands.main())
