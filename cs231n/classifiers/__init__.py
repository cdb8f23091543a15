"""The networks of the kit."""
