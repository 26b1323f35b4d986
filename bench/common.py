"""What the benches share: starting nginx and Keyturn, driving them with wrk, counting processor time."""
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "bench"
SERVER_CORE, LOAD_CORE = "0", "1"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}

NGINX = """daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200; }} }}
}}
"""
KEYTURN = """storage "lmdb" {{ path = "{folder}/data" }}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  tls_disable = true
}}
loops = 1
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def call(port, method, path, body=None, token=None, header="X-Vault-Token"):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, data=json.dumps(body).encode() if body else None)
    if token:
        request.add_header(header, token)
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def wait_until_it_answers(process, port, path):
    while True:
        try:
            return call(port, "GET", path)
        except urllib.error.HTTPError:
            return None
        except OSError:
            if process.poll() is not None:
                sys.exit(f"bench: {process.args} ended with {process.returncode}")
            time.sleep(0.001)


def start_nginx(folder, log):
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, port=port))
    process = subprocess.Popen(["taskset", "-c", SERVER_CORE, "nginx", "-p", folder, "-c", file], stdout=log, stderr=log,
                               env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
    wait_until_it_answers(process, port, "/")
    return process, port, None


def launch_keyturn(folder, log):
    """The server on its folder, still sealed: process and port."""
    port = free_port()
    file = folder / "keyturn.hcl"
    file.write_text(KEYTURN.format(folder=folder, port=port))
    process = subprocess.Popen(["taskset", "-c", SERVER_CORE, ROOT / "build" / "keyturn", "server", f"-config={file}"], stdout=log, stderr=log)
    wait_until_it_answers(process, port, "/v1/sys/seal-status")
    return process, port


def start_keyturn(folder, log, keys=None):
    """A new store, unsealed, with kv at secret/: process, port, root token.  keys (a list) receives the unseal key."""
    process, port = launch_keyturn(folder, log)
    made = call(port, "PUT", "/v1/sys/init", {"secret_shares": 1, "secret_threshold": 1})
    call(port, "PUT", "/v1/sys/unseal", {"key": made["keys"][0]})
    if keys is not None:
        keys.append(made["keys"][0])
    token = made["root_token"]
    call(port, "POST", "/v1/sys/mounts/secret", {"type": "kv"}, token)
    call(port, "POST", "/v1/secret/bench/read", {"value": "x" * 100}, token)
    return process, port, token


def cpu_s(process):
    """User and system time of the process so far, all threads; fields 14 and 15 of proc(5)'s stat."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def latency_ms(text, percent):
    number, unit = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)$", text, re.M).groups()
    return float(number) * UNITS_MS[unit]


def drive(process, port, token, script, path, clients, seconds, header="X-Vault-Token"):
    """One run of wrk: {"rate", "cpu_us", "p50_ms", "p99_ms"}; CPU of the whole server process per request."""
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency"]
    command += ["-s", BENCH / script] if script else []
    before = cpu_s(process)
    told = subprocess.run([*command, f"http://127.0.0.1:{port}{path}"], check=True, capture_output=True, text=True,
                          env={**os.environ, "BENCH_TOKEN": token or "", "BENCH_HEADER": header}).stdout
    used = cpu_s(process) - before
    if re.search(r"Non-2xx|Socket errors", told):
        sys.exit(f"bench: {path} failed under load:\n{told}")
    requests = int(re.search(r"(\d+) requests in", told)[1])
    return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1]), "cpu_us": used / requests * 1e6,
            "p50_ms": latency_ms(told, 50), "p99_ms": latency_ms(told, 99)}


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown processor")
    return f"{os.uname().machine}, {model}"


def disk_sync_ms(folder):
    """Median time of writing 4 KiB and fdatasync on this folder's disk: what a durable write costs here at least."""
    times = []
    with open(folder / "sync", "wb", buffering=0) as f:
        for n in range(200):
            os.pwrite(f.fileno(), bytes(4096), n * 4096)
            start = time.perf_counter()
            os.fdatasync(f.fileno())
            times.append(time.perf_counter() - start)
    (folder / "sync").unlink()
    return sorted(times)[100] * 1e3
