"""The in-process engine: its sessions, its one path, and its end."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from core.engine import Engine, Session
from core.errors import QueryTooCostly, StoreError, StoreUnavailable

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def engine() -> Iterator[Engine]:
    with closing(Engine()) as engine:
        yield engine


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with closing(engine.session({"max_threads": 1})) as session:
        yield session


def test_rows_go_in_and_come_out(session: Session) -> None:
    rows = pa.table({"a": [1, 2, 3]})
    assert session.arrow("SELECT a * {by:UInt8} AS b FROM Python(rows) ORDER BY a", rows, {"by": 10})["b"].to_pylist() == [10, 20, 30]


@pytest.mark.parametrize("bad", ["SELECT number, throwIf(number = 200000) FROM numbers(300000)", "SELECT nothing", "SELEC"])
def test_what_a_failed_query_wrote_is_not_in_the_next_result(session: Session, bad: str) -> None:
    for _ in range(3):
        with pytest.raises(StoreError):
            session.arrow(bad)
        assert session.arrow("SELECT toUInt64(number + 7) AS a FROM numbers(3)").to_pydict() == {"a": [7, 8, 9]}


def test_settings_outlive_an_error(session: Session) -> None:
    session.configure({"max_result_rows": 5})
    with pytest.raises(StoreError):
        session.arrow("SELECT nothing")
    with pytest.raises(QueryTooCostly):
        session.arrow("SELECT number FROM numbers(6)")
    assert session.arrow("SELECT getSetting('max_threads') AS n")["n"].to_pylist() == [1]


def test_sessions_of_several_threads_work_at_once(engine: Engine) -> None:
    wrong: list[object] = []

    def work(seed: int) -> None:
        with closing(engine.session()) as session:
            for i in range(20):
                rows = pa.table({"a": [seed * 1000 + i] * 100})
                got = session.arrow("SELECT DISTINCT a FROM Python(rows)", rows)["a"].to_pylist()
                if got != [seed * 1000 + i]:
                    wrong.append((seed, i, got))
                if i % 5 == 0:
                    with pytest.raises(StoreError):
                        session.arrow("SELECT throwIf(1)")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_stream_may_be_left_at_any_point(session: Session) -> None:
    batches = session.batches("SELECT number FROM numbers(1000000000)")
    assert next(batches).num_rows > 0
    batches.close()
    assert session.arrow("SELECT 1 AS x").to_pydict() == {"x": [1]}


def test_one_path_at_a_time_and_another_after_it(tmp_path: Path) -> None:
    with closing(Engine(tmp_path / "a")) as first:
        with pytest.raises(StoreError, match="already runs the engine"):
            Engine(tmp_path / "b")
        with closing(Engine(tmp_path / "a")) as second, closing(second.session()) as session:
            session.run("CREATE TABLE kept (a UInt8) ENGINE = MergeTree ORDER BY a")
        with closing(first.session()) as session:
            session.run("INSERT INTO kept VALUES (1)")
    with closing(Engine(tmp_path / "b")) as other, closing(other.session()) as session, pytest.raises(StoreError):
        session.arrow("SELECT * FROM kept")
    with closing(Engine(tmp_path / "a")) as again, closing(again.session()) as session:
        assert session.arrow("SELECT a FROM kept")["a"].to_pylist() == [1]


def test_closing_twice_is_closing_once() -> None:
    first, second = Engine(), Engine()
    first.close()
    first.close()
    with closing(second.session()) as session:
        assert session.arrow("SELECT 1 AS x")["x"].to_pylist() == [1]
    second.close()


def test_a_folder_that_another_process_has_is_refused(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path / "a")], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StoreUnavailable, match="another bongsu"):
            Engine(tmp_path / "a")
    finally:
        holder.kill()
        holder.communicate()
    Engine(tmp_path / "a").close()  # the killed process left no lock


_HOLD = """
import sys
from pathlib import Path
from core.engine import Engine
engine = Engine(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


ROWS = pa.schema([pa.field("a", pa.int64(), nullable=False)])


def numbers(*values: int) -> pa.Table:
    return pa.table([pa.array(values, pa.int64())], schema=ROWS)


def test_a_stream_gives_each_table_its_own_rows(engine: Engine) -> None:
    stream = engine.stream("SELECT a * {by:Int64} AS b FROM Python(rows)", ROWS, {"by": 10})
    with closing(stream):
        for size in (1, 3, 1, 200_000, 2):
            assert stream.run(numbers(*range(size)))["b"].to_pylist() == [10 * number for number in range(size)]
        several = pa.concat_tables([numbers(1, 2), numbers(3), numbers()])
        assert stream.run(several)["b"].to_pylist() == [10, 20, 30]


def test_a_stream_that_fails_says_why_and_leaves_the_others(engine: Engine) -> None:
    with closing(engine.stream("SELECT a AS b FROM Python(rows)", ROWS)) as other:
        for bad in ("SELECT a + throwIf(a = 3) AS b FROM Python(rows)", "SELECT nothing FROM Python(rows)"):
            with closing(engine.stream(bad, ROWS)) as stream, pytest.raises(StoreError, match=r"throwIf|nothing"):
                stream.run(numbers(1, 2, 3))
        assert other.run(numbers(5))["b"].to_pylist() == [5]
        stream.close()


def test_a_process_ends_with_a_stream_open() -> None:
    program = (
        "import pyarrow as pa\nfrom core.engine import Engine\n"
        "schema = pa.schema([('a', pa.int64())])\n"
        "stream = Engine().stream('SELECT a FROM Python(rows)', schema)\n"
        "print(stream.run(pa.table({'a': [7]}, schema=schema))['a'][0])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.returncode) == ("7", 0)
