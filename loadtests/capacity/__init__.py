"""A capacity model of the service: fitted on measured steps of one server, checked, then asked about a phase."""
