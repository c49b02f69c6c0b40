"""The door: ``python3 cli.py …`` is the program ``oms``, set up first where that must be."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this very line is what tells the owner of an older Python
    sys.exit("oms: needs Python 3.11 or newer; this is %d.%d, %s" % (*sys.version_info[:2], sys.executable))  # noqa: UP031

from oms import bootstrap

if __name__ == "__main__":
    bootstrap.start()
