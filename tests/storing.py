"""Made-up runs that are written by processes of their own, killed at a chosen moment, and gone on with."""

import subprocess
import sys
from pathlib import Path

from flowatlas.check import check
from flowatlas.schema import TABLES
from flowatlas.shards import Ledger
from synthetic import Dataset, finish, plan_of, rows_of
from synthetic import write_made_up_shard as write_made_up

# A child that runs what is left of a made-up run, and that kills itself just before its n-th call of a function.
CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import pyarrow.parquet as pq
import synthetic
from flowatlas.errors import FlowatlasError
from flowatlas.shards import Ledger

run_dir, seed, name, moment = Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
calls = 0

def deadly(function):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == moment:
            if name == "write_table":
                Path(args[1]).write_bytes(b"PAR1 half a file")
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call

if name == "write_table":
    pq.write_table = deadly(pq.write_table)
elif name != "never":
    setattr(os, name, deadly(getattr(os, name)))
shape, dataset = synthetic.Shape(seed=seed), synthetic.Dataset(30)
try:
    plan = synthetic.plan_of(run_dir, dataset, shape=shape)
except FlowatlasError as error:
    sys.exit(str(error))
for shard in range(len(plan.shards)):
    if Ledger(run_dir).finished(shard) is None:
        synthetic.write_made_up_shard(run_dir, plan, dataset, shard, shape)
        print("shard", flush=True)
synthetic.finish(run_dir, plan, shape)
"""


def child(run_dir: Path, name: str = "never", moment: int = 0, seed: int = 0) -> subprocess.Popen:
    tests = str(Path(__file__).parent)
    command = [sys.executable, "-c", CHILD, tests, str(run_dir), str(seed), name, str(moment)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def make_again(run_dir: Path) -> None:
    dataset = Dataset(30)
    plan = plan_of(run_dir, dataset)
    for shard in range(len(plan.shards)):
        if Ledger(run_dir).finished(shard) is None:
            write_made_up(run_dir, plan, dataset, shard)
    finish(run_dir, plan)


def assert_same_run(run_dir: Path, other: Path) -> None:
    for table in TABLES:
        assert rows_of(run_dir, table).equals(rows_of(other, table)), table
    assert not list(run_dir.rglob("*.tmp"))
    assert check(run_dir) == []
