"""`python -m sightline.cli`, where the `sightline` script is not on the path."""

from sightline.cli.main import main

main(prog_name="sightline")
