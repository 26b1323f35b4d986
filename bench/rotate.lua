-- Rotates the storage key; the token comes from BENCH_TOKEN.
wrk.method = "POST"
wrk.headers["X-Vault-Token"] = os.getenv("BENCH_TOKEN")
