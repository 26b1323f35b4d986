-- Reads one secret; the token comes from BENCH_TOKEN.
wrk.headers["X-Vault-Token"] = os.getenv("BENCH_TOKEN")
