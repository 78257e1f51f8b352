"""The strategy's claims (roadmap/claims.toml) as experiments: each function measures one claim and judges it."""
