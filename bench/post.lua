-- Sends the file BENCH_BODY with each request; the token comes from BENCH_TOKEN, in the header BENCH_HEADER (X-Vault-Token).
wrk.method = "POST"
if os.getenv("BENCH_TOKEN") ~= "" then
	wrk.headers[os.getenv("BENCH_HEADER") or "X-Vault-Token"] = os.getenv("BENCH_TOKEN")
end
wrk.headers["Content-Type"] = "application/json"
local file = io.open(os.getenv("BENCH_BODY"), "rb")
wrk.body = file:read("*a")
file:close()
