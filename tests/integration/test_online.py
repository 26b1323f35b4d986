"""Rotations back to back while clients read and write: nobody notices."""
import threading
from concurrent.futures import ThreadPoolExecutor

CLIENTS = 8
ROTATIONS = 100


def work(api, me, stop):
    """Write and read back until told to stop; every answer must be good.  Returns how many requests that were."""
    done = 0
    while not stop.is_set():
        path = f"secret/{me}/{done % 50}"
        api.post(path, {"n": done}).expect(204)
        assert api.get(path).expect(200).data == {"n": done}
        done += 1
    return 2 * done


def test_rotations_back_to_back(server):
    api, stop = server.api, threading.Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        try:
            clients = [pool.submit(work, api, me, stop) for me in range(CLIENTS)]
            term = api.term()
            for _ in range(ROTATIONS):
                api.rotate()
                term += 1
                assert api.term() == term
        finally:
            stop.set()
        done = [client.result() for client in clients]
    assert min(done) > 0
    terms = api.terms()
    assert len(terms) == ROTATIONS + 1
    assert [n for n, t in terms.items() if t["state"] == "active"] == [ROTATIONS + 1]


def test_concurrent_rotations_each_make_a_term(server):
    with ThreadPoolExecutor(CLIENTS) as pool:
        for answer in pool.map(lambda _: server.api.post("sys/rotate"), range(80)):
            answer.expect(204)
    assert server.api.term() == 81
    assert sorted(server.api.terms()) == list(range(1, 82))


def test_written_after_the_answer_is_under_the_new_term(server):
    """What is written once a rotation was answered counts under the new term, never under the old one."""
    for n in range(30):
        server.api.rotate()
        server.api.post(f"secret/{n}", {"n": n}).expect(204)
    terms = server.api.terms()
    assert [terms[n]["records"] for n in range(2, 32)] == [1] * 30
    assert [terms[n]["encryptions"] for n in range(2, 32)] == [1] * 30
