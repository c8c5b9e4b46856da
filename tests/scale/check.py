"""Whether what measures can be believed: the HPA's rule, the fleet on paper, slopes and plots, against cases
reckoned by hand. Needs nothing but Python and takes a second.

    python tests/scale/check.py
"""

import pathlib
import tempfile
import xml.dom.minidom

from cloud import Nodes, Times
from day import DAY, arrivals
from hpa import Autoscaler, Rules
from paper import Fleet
from plot import Chart, nice, svg
from soak import Soak, slope


def same(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise SystemExit(f"{what}: {found} instead of {wanted}")


def walk(scaler: Autoscaler, metrics: list) -> list:
    """The wishes for (time, metric) pairs."""
    return [scaler.look(at, metric) for at, metric in metrics]


def check_hpa() -> None:
    rules = Rules()
    same("the rules of deploy/kubernetes", (rules.target, rules.most, rules.up, rules.down), (2.0, 8.0, 4.0, 1.0))
    same("none until there is a job", walk(Autoscaler(rules), [(0, 0), (5, 0), (10, 1)]), [0, 0, 1])
    # 20 jobs want 10 workers, 8 are allowed; from one, four more in 30 s.
    same("four more in half a minute", walk(Autoscaler(rules), [(0, 20), (15, 20), (30, 20), (45, 20)]), [5, 5, 8, 8])
    same("within a tenth nothing changes", walk(Autoscaler(rules), [(0, 8), (15, 8), (30, 8.7)]), [4, 4, 4])
    down = Autoscaler(rules)
    walk(down, [(0, 8), (15, 8)])
    # The wish for four is five minutes old before the first one goes; then one a minute.
    fall = walk(down, [(at, 1) for at in range(30, 480, 15)])
    same("nothing goes for five minutes", set(fall[: (315 - 30) // 15]), {4})
    same("then one a minute", [fall[(at - 30) // 15] for at in (330, 390, 450)], [3, 2, 1])
    idle = Autoscaler(rules)
    same("none after the cooldown", walk(idle, [(0, 1), (5, 0), (295, 0), (301, 0)]), [1, 1, 1, 0])


def check_paper() -> None:
    times = Times()
    one = Fleet(times, Rules()).play([100.0], 3600.0)
    # Seen at the next look, then a node, its image, the weights, the model.
    same("the first job waits for a cold start", one.waits, [times.node + times.image + times.weights + times.load])
    # The last look that sees the job comes 305 s after the wish; then the cooldown, and ten idle minutes of the node.
    same("what it costs", one.node_seconds, 305.0 + 300.0 + times.unneeded)
    both = Fleet(times, None, 1).play([0.0, 1.0], 100.0)
    same("two jobs, one worker", (both.waits, both.node_seconds), ([0.0, 9.0], 100.0))
    come = arrivals(3, 2000)
    same("a day has its jobs", 1800 < len(come) < 2200 and 0 <= come[0] and come[-1] < DAY, True)
    day = Fleet(times, Rules()).play(come, DAY)
    same("each job once", len(day.waits), len(come))
    nodes = Nodes(times)
    node, _ = nodes.take(0.0)
    nodes.give_back(100.0, node)
    same("a node that is there is warm", nodes.take(200.0), (node, times.load))


def check_soak() -> None:
    line = [(minute, 100 + minute / 60 * 7) for minute in range(120)]
    same("a slope an hour", round(slope(line), 6), 7.0)
    line[60] = (60, 900)
    same("a spike does not move it", round(slope(line), 1), 7.0)
    for rise, faults in ((0.2, 0), (9.0, 1)):
        with tempfile.TemporaryDirectory() as folder:
            write(pathlib.Path(folder), rise)
            soak = Soak(pathlib.Path(folder))
            soak.processes()
            same(f"a worker that grows {rise} MiB an hour", len(soak.faults), faults)
            xml.dom.minidom.parseString(svg(soak.charts(), soak.end, "min"))


def write(folder: pathlib.Path, rise: float) -> None:
    files = {
        "processes": ["at,process,pid,rss_kib,descriptors,threads,cpu_seconds"],
        "streams": ["at,stream,messages,bytes,oldest_seconds"],
        "jobs": ["job,published,waited_seconds,took_seconds,starts,end"],
        "blows": ["at,what,seat", "1200,SIGKILL,1"],
    }
    for at in range(1000, 8200, 10):
        files["processes"].append(f"{at},paint-0,7,{(90 + rise * at / 3600) * 1024},17,6,{at / 50}")
        files["streams"].append(f"{at},EVENTS,{at},{at * 100},{at}")
        files["jobs"].append(f"j{at},{at},0.003,0.04,1,done")
    for name, lines in files.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")


def check_plot() -> None:
    same("ends of axes", [nice(most) for most in (0, 7, 93, 1200)], [(1.0, 0.5), (8, 2), (100, 25), (1500, 500)])
    drawn = svg([Chart("a <title> & more", "s", {"x": [(0, 1), (24, 3)], "none": []}, marks=[3])], 24, "h")
    xml.dom.minidom.parseString(drawn)
    same("a title is text", "a &lt;title&gt; &amp; more" in drawn, True)


for check in (check_hpa, check_paper, check_soak, check_plot):
    check()
print("measuring: all right")
