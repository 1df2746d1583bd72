"""`python -m rszoo_cli`, which is what torchrun starts: `torchrun -m rszoo_cli train ...`."""

from rszoo_cli import main

main()
