"""The routes, one file per resource. Each is thin: named dependencies, typed request and answer, one call."""
