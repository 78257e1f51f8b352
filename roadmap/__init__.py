"""The scaling roadmap as data. Every other room that knows phases reads them here; this one imports none of them."""
