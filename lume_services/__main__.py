"""`python -m lume_services` is `lume-services`."""

from lume_services.cli import main

main()
