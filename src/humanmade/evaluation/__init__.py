"""What is known of a run, and of the data, from the ground up.

The scores of a run: `inference` (a run's logits of any rows), `grid` (a fold's pictures corrupted),
`collect` (the folds' files into one run's), `evaluate` (a labelled set), `blend` (runs into one, scored like
a run), `worth` (what it submits, what that is worth, and what each run adds), `significance` (which
differences are beyond noise), `columns` (the table of metrics) and what goes through it: `scorecard`,
`compare` of `entries`, and `report` with its `plots`, `mistakes` and `page`.

The forecast: `distance` (of the test set) and `forecast` (what detectors keep elsewhere).

Explaining: `explain`, where a detector looks.

Auditing: `audit`, by `audit_facts` (what stored facts tell) and `canaries` (detectors dumb on purpose).
"""
