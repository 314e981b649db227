"""From a dump file to an analysis: options, the native core, decoding.

Does not own: how it is done (crates/analyze), nor how it is shown (cli, web).
"""

from lastwords.analyze.decode import decode_analysis
from lastwords.analyze.dump import analyze_dump, analyze_dump_json
from lastwords.analyze.session import DumpSession

__all__ = ["DumpSession", "analyze_dump", "analyze_dump_json", "decode_analysis"]
