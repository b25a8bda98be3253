"""`sightline-gateway`: settings, then serve."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from sightline_serving.gateway import listening
from sightline_serving.gateway.settings import FILE_VARIABLE, Settings, SettingsError, load, variable

BAD_SETTINGS: Final = 2  # exit codes
CANNOT_LISTEN: Final = 1


def main() -> int:
    """Run the gateway; the exit code is 0 after a clean stop, 2 for wrong settings, 1 for a taken port."""
    _parser().parse_args()
    try:
        settings = load()
        listening.check(settings.host, settings.port)
    except SettingsError as fault:
        for line in str(fault).splitlines():
            print(f"sightline-gateway: {line}", file=sys.stderr)
        return BAD_SETTINGS
    except listening.PortTakenError as fault:
        print(f"sightline-gateway: {fault}", file=sys.stderr)
        return CANNOT_LISTEN
    from sightline_serving.gateway.server import serve

    serve(settings)
    return 0


def _parser() -> argparse.ArgumentParser:
    """Settings come from the environment, alike in a container and a shell; --help lists them."""
    lines = [
        f"  {FILE_VARIABLE}\n      a TOML file with the settings below, in small letters without the prefix"
    ]
    for name, field in Settings.model_fields.items():
        default = "" if field.is_required() else f" [{field.default}]"
        lines.append(f"  {variable(name)}{default}\n      {field.description}")
    return argparse.ArgumentParser(
        prog="sightline-gateway",
        description="The HTTP gateway in front of TensorFlow Serving.",
        epilog="environment:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


if __name__ == "__main__":
    sys.exit(main())
