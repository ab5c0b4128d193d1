"""Runs every check and tells how many: python3 -m policy [PART OF A NAME ...]."""

import pathlib
import sys
import time
import unittest


class Told(unittest.TextTestResult):
    """Counts each sub-test, too: a rule on an overlay is a check of its own."""

    checks = 0

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        self.checks += 1


def main() -> int:
    began = time.monotonic()
    loader = unittest.TestLoader()
    if sys.argv[1:]:
        loader.testNamePatterns = [f"*{part}*" for part in sys.argv[1:]]
    here = pathlib.Path(__file__).parent
    suite = loader.discover(str(here), top_level_dir=str(here.parent))
    runner = unittest.TextTestRunner(resultclass=Told, verbosity=1, stream=sys.stderr)
    result = runner.run(suite)
    for test, reason in result.skipped:
        print(f"not run: {test.id().removeprefix('policy.')}: {reason}", file=sys.stderr)
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun} tests with {result.checks} cases in {time.monotonic() - began:.0f} s", file=sys.stderr)
    whole = len({test.id().split(" ")[0] for test, _ in result.failures + result.errors})
    print(f"{result.testsRun - len(result.skipped) - whole} passed, {failed} failed" + (f", {len(result.skipped)} skipped" if result.skipped else ""))
    return 0 if failed == 0 and result.testsRun > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
