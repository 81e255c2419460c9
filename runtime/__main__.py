"""The command `bongsu`, also as `python -m runtime`. Memory is set up before anything else is imported."""

from runtime.memory import keep_freed_memory

keep_freed_memory()

from runtime.cli import main  # noqa: E402 - see above

if __name__ == "__main__":
    main()
