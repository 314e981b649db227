"""Many dumps in one run: worker processes that a bad dump may kill without harm to the run.

Owns: the pool (`pool.py`), what a worker does (`worker.py`), the order and its limits. Does not
own: which files are meant, nor how results are shown (cli).
"""

from lastwords.analyze.bulk.order import BulkOrder, Failure, Outcome
from lastwords.analyze.bulk.pool import analyze_many
from lastwords.analyze.bulk.summary import Summary, summary_of

__all__ = ["BulkOrder", "Failure", "Outcome", "Summary", "analyze_many", "summary_of"]
