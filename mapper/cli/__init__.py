"""The command line. `mapper --help` imports none of the libraries that the work needs."""


def main() -> None:
    """Entry point of the command `mapper`."""
    from mapper.cli import interrupts

    interrupts.install()  # before what takes time
    from mapper.cli.guard import guard, open_streams

    try:
        with guard():
            open_streams()
            from mapper.cli.app import app

            app(prog_name="mapper")
    except KeyboardInterrupt:  # another one, while the first was being answered
        raise SystemExit(interrupts.EXIT_INTERRUPTED) from None
    finally:
        interrupts.ignore()
