"""Where the commands of `digitstrip-train` print."""

from rich.console import Console

console = Console()
