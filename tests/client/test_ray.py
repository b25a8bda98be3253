"""The Ray engine on a real cluster of two nodes, in an environment of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.environments import environment, run_in
from support.fake_serving import fake_serving
from support.videos import numbered_frames, write_video

from sightline.cli import main
from sightline.cli.exits import Exit
from sightline.images import encode_jpeg

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

_JOB = """
import json, sys, time
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from sightline.batch.engines import RayEngine
from sightline.batch.job import Job, JobOptions
from sightline.batch.sources import find_sources
from sightline.batch.work import Work
from sightline.cli.connection import Connection
from sightline.contract import ModelRef
from sightline.options import DetectOptions

target, inputs, out = sys.argv[1:]
small = {"object_store_memory": 100 * 2**20, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
nodes = [cluster.add_node(num_cpus=1, object_store_memory=small["object_store_memory"]) for _ in range(2)]
connection = Connection(None, target, ModelRef("droids"), None, None, None)
work = Work(connection.open, DetectOptions(), None, 2, 30.0)
done, killed = 0.0, False
with Job(Path(out), work, JobOptions(segment=1)) as job:
    for completed in job.run(find_sources([inputs]), RayEngine(2, cluster.address)):
        done += completed
        if not killed and done >= 3:
            killed = True
            cluster.remove_node(nodes[1], allow_graceful=False)
    told = job.summary()
ray.init(address=cluster.address, log_to_driver=False)
deadline = time.monotonic() + 60  # until the cluster has noticed
while (alive := sum(node["Alive"] for node in ray.nodes())) > 2 and time.monotonic() < deadline:
    time.sleep(0.2)
print(json.dumps({"killed": killed, "alive": alive, "done": told.done, "failed": told.failed}))
ray.shutdown()
cluster.shutdown()
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    for number, frame in enumerate(numbered_frames(8)):
        (folder / f"photo{number}.jpg").write_bytes(encode_jpeg(frame))
    (folder / "broken.jpg").write_bytes(b"no picture")
    write_video(folder / "film.mp4", 250)
    return folder


def records(out: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((out / "results").glob("*.ndjson"))}


def test_two_nodes_one_killed_midway_give_what_one_machine_gives(inputs: Path, tmp_path: Path) -> None:
    python = environment("ray")
    with fake_serving() as server:
        server.behaviour.delay = 0.02
        told = json.loads(
            run_in(python, _JOB, server.target, inputs, tmp_path / "ray", limit=600).splitlines()[-1]
        )
        server.behaviour.delay = 0
        way = [
            "--serving",
            server.target,
            "--model",
            "droids",
            "--segment",
            "1",
            "--out",
            str(tmp_path / "one"),
        ]
        assert CliRunner().invoke(main, ["batch", *way, str(inputs)]).exit_code == Exit.SOME_FAILED
    assert told == {"killed": True, "alive": 2, "done": 9, "failed": 1}
    assert records(tmp_path / "ray") == records(tmp_path / "one")


def test_the_command_starts_a_cluster_or_says_why_not(inputs: Path, tmp_path: Path) -> None:
    python = environment("ray")
    script = "import sys; from sightline.cli import main; main(sys.argv[1:], prog_name='sightline')"
    wrapped = (
        "import subprocess, sys; done = subprocess.run([sys.executable, '-c', sys.argv[1], *sys.argv[2:]],"
        " capture_output=True, text=True); print(done.returncode); print(done.stderr)"
    )
    with fake_serving() as server:
        way = ["batch", "--serving", server.target, "--engine", "ray", "--out"]
        good = run_in(python, wrapped, script, *way, tmp_path / "a", "--model", "droids", inputs, limit=600)
        bad = run_in(python, wrapped, script, *way, tmp_path / "b", "--model", "nomodel", inputs, limit=600)
        gone = ["--model", "droids", "--address", "127.0.0.1:9"]  # by itself Ray tries for ten minutes
        away = run_in(python, wrapped, script, *way, tmp_path / "c", *gone, inputs, limit=60)
    for told, code, says in (
        (good, Exit.SOME_FAILED, "9 inputs done, 1 failed"),
        (bad, Exit.REFUSED, "nomodel"),
        (away, Exit.TRY_AGAIN, "cannot be reached"),
    ):
        assert (told.splitlines()[0], says in told) == (str(code.value), True), told
