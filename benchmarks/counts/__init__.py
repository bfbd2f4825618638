"""Numbers that do not depend on the machine, and whether they are still as good as recorded."""
