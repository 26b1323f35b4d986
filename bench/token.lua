-- Creates tokens that live an hour; the root token comes from BENCH_TOKEN.
wrk.method = "POST"
wrk.headers["X-Vault-Token"] = os.getenv("BENCH_TOKEN")
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"policies":["default"],"ttl":"1h"}'
