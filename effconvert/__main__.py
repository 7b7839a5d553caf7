"""`python -m effconvert` is `effconvert`."""

from effconvert.cli import main

main()
