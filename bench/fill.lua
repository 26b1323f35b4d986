-- Writes 100 bytes to a new path each time; the token comes from BENCH_TOKEN.
wrk.method = "POST"
wrk.headers["X-Vault-Token"] = os.getenv("BENCH_TOKEN")
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"value":"' .. string.rep("x", 100) .. '"}'

local n = 0

function request()
	n = n + 1
	return wrk.format(nil, wrk.path .. "/" .. n)
end
