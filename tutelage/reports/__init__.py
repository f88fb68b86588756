"""Reports: what came of a run, as pages, tables and drawings."""
