"""Makes the dashboards beside it: one page for each question.

    python deploy/grafana/make.py            # writes them
    python deploy/grafana/make.py --check    # ends with 1 when a page is not what this makes
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
SOURCE = {"type": "prometheus", "uid": "${source}"}
QUANTILES = [("half", 0.5), ("19 of 20", 0.95), ("99 of 100", 0.99)]


def quantiles(metric: str) -> list:
    """Times of each stage: what half of them, and nearly all of them, stay below."""
    rate = f"sum by (stage, le) (rate({metric}_bucket[$__rate_interval]))"
    return [(f"histogram_quantile({share}, {rate})", f"{{{{stage}}}}, {words}") for words, share in QUANTILES]


def mean(metric: str, by: str = "stage") -> str:
    """Seconds on average."""
    rate = "sum by ({}) (rate({}_{}[$__rate_interval]))"
    return f"{rate.format(by, metric, 'sum')} / {rate.format(by, metric, 'count')}"


def spent(component: str) -> str:
    """Hours of all workers of a component; a point comes every 15 seconds (scrape_interval)."""
    return f'sum(count_over_time(up{{job="shanshui",component="{component}"}}[$__range])) * 15 / 3600'


def done(stage: str, outcome: str) -> str:
    return f'sum(increase(shanshui_jobs_total{{stage="{stage}",outcome="{outcome}"}}[$__range]))'


# (title, kind, unit, [(query, legend)], what it means)
HEALTH = [
    ("Jobs in doubt", "stat", "short", [('max(shanshui_audit_jobs{standing="in-doubt"})', "")],
     "Jobs that have neither ended nor lie in a queue. It should be 0."),
    ("Unfinished jobs", "stat", "short", [('max(shanshui_audit_jobs{standing="in-flight"})', "")],
     "Jobs that wait or run, over all stages."),
    ("Workers", "stat", "short", [('sum by (component) (up{job="shanshui"})', "{{component}}")], "Processes that answer."),
    ("Versions", "stat", "short", [("count by (version) (shanshui_build_info)", "{{version}}")], "Processes of each version."),
    ("Oldest job that waits", "stat", "s", [("max by (stage) (shanshui_queue_oldest_waiting_seconds)", "{{stage}}")],
     "Since it was published. 0: none waits."),
    ("Jobs in DEAD", "stat", "short", [("max by (stage) (shanshui_dead_jobs)", "{{stage}}")],
     "`shanshui dead list` has the reason of each."),
    ("Not ready", "stat", "short", [('count(shanshui_ready{job="shanshui"} == 0) or vector(0)', "")],
     "Processes that answer and cannot work; `/readyz` of each says why."),
    ("Fullest queue", "stat", "percentunit", [("max(max by (stream) (shanshui_stream_bytes) / max by (stream) (shanshui_stream_limit_bytes))", "")],
     "Bytes of the limit. A queue that is full refuses new jobs."),
    ("Jobs that wait, by pool", "timeseries", "short", [
        ("max by (stage, pool) (shanshui_queue_waiting_jobs)", "{{stage}}/{{pool}}")], "Nobody has taken them yet."),
    ("Workers that ask for a job, by pool", "timeseries", "short", [
        ("max by (stage, pool) (shanshui_queue_asking_workers)", "{{stage}}/{{pool}}, idle"),
        ("max by (stage, pool) (shanshui_queue_in_work_jobs)", "{{stage}}/{{pool}}, jobs in work")],
     "No idle worker and many waiting jobs: more workers would help."),
    ("Unfinished jobs", "timeseries", "short", [
        ('max(shanshui_audit_jobs{standing="in-flight"})', "wait or run"),
        ("sum by (stage) (shanshui_jobs_in_flight)", "{{stage}}, in work")],
     "What waits is the distance between the lines."),
    ("Jobs that ended", "timeseries", "short", [
        ('max by (standing) (rate(shanshui_audit_jobs{standing=~"done|failed|canceled|no-speech"}[$__rate_interval])) * 60', "{{standing}}")],
     "A minute."),
    ("Attempts by how they ended", "timeseries", "short", [
        ("sum by (stage, outcome) (rate(shanshui_jobs_total[$__rate_interval])) * 60", "{{stage}}: {{outcome}}")],
     "A minute. `outage`: the store was away. `hung`, `broken`, `device-lost`: the worker starts again."),
    ("Waiting time", "timeseries", "s", quantiles("shanshui_queue_wait_seconds"), "From publication to the first delivery."),
    ("Jobs that come a second time", "timeseries", "percentunit", [
        ("sum by (stage) (rate(shanshui_redelivered_total[$__rate_interval])) / "
         "sum by (stage) (rate(shanshui_deliveries_total[$__rate_interval]))", "{{stage}}")],
     "Workers that died, failed or stopped."),
    ("Webhooks", "timeseries", "short", [
        ("sum by (outcome) (rate(shanshui_webhooks_total[$__rate_interval])) * 60", "{{outcome}}, a minute"),
        ("max(shanshui_webhooks_waiting + shanshui_webhooks_in_work)", "due")],
     "`again`: the receiver did not hear, and is told again. `given-up`: it lies in DEAD."),
    ("Oldest webhook", "stat", "s", [("max(shanshui_webhooks_oldest_seconds)", "")], "Nobody has heard it yet. 0: none is due."),
    ("Intake: objects", "timeseries", "short", [
        ("sum by (outcome) (rate(shanshui_intake_objects_total[$__rate_interval])) * 60", "{{outcome}}"),
        ("sum by (outcome) (rate(shanshui_intake_results_total[$__rate_interval])) * 60", "results: {{outcome}}"),
        ("sum by (outcome) (rate(shanshui_intake_events_total[$__rate_interval])) * 60", "events: {{outcome}}")],
     "A minute. `submitted`: a job was made. `refused`: the marker beside the object says why."),
    ("Intake: since it last worked", "timeseries", "s", [
        ("time() - max by (part) (shanshui_intake_success_timestamp_seconds)", "{{part}}")],
     "Reading of events, listing of the bucket, bringing back of results."),
    ("Intake: one listing", "timeseries", "s", [(mean("shanshui_intake_listing_seconds", "part"), "{{part}}")],
     "With the recordings that it found, on average."),
    ("Memory", "timeseries", "bytes", [('process_resident_memory_bytes{job="shanshui"}', "{{component}} {{instance}}")], ""),
]
TIME = [
    ("Waiting in the queue", "timeseries", "s", quantiles("shanshui_queue_wait_seconds"), "From publication to the first delivery."),
    ("One attempt", "timeseries", "s", quantiles("shanshui_job_seconds"),
     "With reading, writing and the model. A point of an exemplar names the job and its trace."),
    ("Parts of an attempt, on average", "stack", "s", [
        ("sum by (stage, phase) (rate(shanshui_phase_seconds_sum[$__rate_interval])) / on (stage) group_left () "
         "sum by (stage) (rate(shanshui_job_seconds_count[$__rate_interval]))", "{{stage}}: {{phase}}")],
     "Seconds for each attempt. docs/operations.md says what each part is."),
    ("Slowest part", "timeseries", "s", [
        ("histogram_quantile(0.95, sum by (stage, phase, le) (rate(shanshui_phase_seconds_bucket[$__rate_interval])))",
         "{{stage}}: {{phase}}, 19 of 20")], "One request of the store, one window of speech, all steps of one batch."),
    ("One call of the model", "timeseries", "s", quantiles("shanshui_model_seconds"),
     "A window of speech, or one batch of denoising steps with its decoder."),
    ("Share of an attempt that the model takes", "timeseries", "percentunit", [
        ("sum by (stage) (rate(shanshui_model_seconds_sum[$__rate_interval])) / "
         "sum by (stage) (rate(shanshui_job_seconds_sum[$__rate_interval]))", "{{stage}}")],
     "The rest is NATS, the store, decoding and encoding. It is above 1 where one process works on several jobs."),
    ("Busy workers", "timeseries", "percentunit", [
        ('sum(rate(shanshui_job_seconds_sum{stage="transcribe"}[$__rate_interval])) / sum(up{job="shanshui",component="transcribe"})', "transcribe"),
        ('sum(rate(shanshui_job_seconds_sum{stage="paint"}[$__rate_interval])) / sum(up{job="shanshui",component="paint"})', "paint")],
     "Share of the workers' time that is an attempt. Far below 1: too many workers. At 1 with a long wait: too few."),
    ("Loading the model", "timeseries", "s", [
        ("max by (stage, model) (shanshui_model_load_seconds)", "{{stage}}: {{model}}")], "Once for each start of a worker."),
    ("Share of a CPU", "timeseries", "percentunit", [
        ('sum by (component) (rate(process_cpu_seconds_total{job="shanshui"}[$__rate_interval]))', "{{component}}")],
     "1 is one core. An idle worker has next to nothing."),
    ("Attempts by length", "heatmap", "s", [
        ("sum by (le) (increase(shanshui_job_seconds_bucket[$__rate_interval]))", "{{le}}")], "All stages."),
]
COST = [
    ("One picture", "stat", "currencyUSD", [
        (f"({spent('paint')} * $price_paint + {spent('transcribe')} * $price_transcribe) / sum(increase(shanshui_pictures_total[$__range]))", "")],
     "All hours of all workers, idle ones and cold starts included, over the pictures."),
    ("One picture job", "stat", "currencyUSD", [
        (f"({spent('paint')} * $price_paint + {spent('transcribe')} * $price_transcribe) / {done('paint', 'done')}", "")],
     "All hours of all workers, idle ones and cold starts included, over the jobs that are done. A job may have several pictures."),
    ("Picture jobs done", "stat", "short", [(done("paint", "done"), "")], ""),
    ("Hours of workers", "stat", "h", [(spent("paint"), "paint"), (spent("transcribe"), "transcribe")], ""),
    ("Pictures", "stat", "short", [("sum(increase(shanshui_pictures_total[$__range]))", "")], ""),
    ("Pictures of a batch", "stat", "short", [
        ("sum(increase(shanshui_pictures_total[$__range])) / sum(increase(shanshui_batches_total[$__range]))", "")],
     "More of them share the work of one call of the model (`--max-batch`)."),
    ("Denoising steps", "stat", "short", [("sum(increase(shanshui_steps_total[$__range]))", "")], "Each of one picture."),
    ("Speech, faster than it was spoken", "stat", "short", [
        ('sum(increase(shanshui_audio_seconds_total[$__range])) / sum(increase(shanshui_job_seconds_sum{stage="transcribe"}[$__range]))', "")],
     "Seconds of sound for each second of an attempt."),
    ("Hours in which nothing was painted", "stat", "percentunit", [
        (f'1 - sum(increase(shanshui_job_seconds_sum{{stage="paint"}}[$__range])) / 3600 / ({spent("paint")})', "")],
     "Idle time, start of the process, loading of the model."),
    ("Seconds of a worker for one job", "timeseries", "s", [
        ("sum by (stage) (rate(shanshui_job_seconds_sum[$__rate_interval])) / "
         "sum by (stage) (rate(shanshui_job_seconds_count[$__rate_interval]))", "{{stage}}")],
     "Without idle time."),
    ("Seconds of a step", "timeseries", "s", [
        ('sum(rate(shanshui_phase_seconds_sum{stage="paint",phase="steps"}[$__rate_interval])) / sum(rate(shanshui_steps_total[$__rate_interval]))', "")],
     "Of one picture; a batch shares them."),
    ("Seconds for attempts that came to nothing", "timeseries", "percentunit", [
        ('sum by (stage) (rate(shanshui_jobs_total{outcome=~"failed|broken|hung|device-lost|outage|interrupted"}[$__rate_interval])) / '
         "sum by (stage) (rate(shanshui_jobs_total[$__rate_interval]))", "{{stage}}")],
     "Share of the attempts."),
]
ABOUT = """1. Put the job's name into the box above.
2. `shanshui jobs show NAME` tells its events: who took it, how often it was tried, why it ended.
3. Below are its trace (Tempo, from OTLP: docs/operations.md, *Traces*) and its lines of the logs (Loki, `--log-format json`).
4. Points in "One attempt" are single jobs, with their traces."""
JOB = [
    ("What happened to this job?", "text", "", [], ABOUT),
    ("One attempt", "timeseries", "s", quantiles("shanshui_job_seconds"), "Each point is a job: its name and its trace."),
    ("Its trace", "traces", "", [("traces", '{ span.shanshui.job = "$job" }')], "From the sender over both queues to the receipt."),
    ("Its lines", "logs", "", [("logs", '{component=~".+"} | json | span_job="$job"')], "Of all workers."),
    ("Attempts by how they ended", "timeseries", "short", [
        ("sum by (stage, outcome) (rate(shanshui_jobs_total[$__rate_interval])) * 60", "{{stage}}: {{outcome}}")],
     "A minute. Was it alone?"),
]
PAGES = {
    "healthy": ("Shanshui: is it healthy?", HEALTH, {}),
    "time": ("Shanshui: where is the time going?", TIME, {}),
    "job": ("Shanshui: what happened to this job?", JOB, {}),
    "cost": ("Shanshui: what does a picture cost?", COST, {"price_paint": "1.0", "price_transcribe": "0.1"}),
}


def panel(index: int, place: dict, about: tuple) -> dict:
    title, kind, unit, queries, meaning = about
    if kind in OTHERS or kind == "text":
        return other(index, place, about)
    instant, custom = kind == "stat", {}
    if kind == "stack":
        kind, custom = "timeseries", {"custom": {"stacking": {"mode": "normal"}, "fillOpacity": 40}}
    targets = [{"refId": chr(65 + at), "datasource": SOURCE, "expr": query, "legendFormat": legend, "instant": instant,
                "range": not instant, "exemplar": kind == "timeseries" and "job_seconds_bucket" in query, **({"format": "heatmap"} if kind == "heatmap" else {})}
               for at, (query, legend) in enumerate(queries)]
    return {"id": index, "type": kind, "title": title, "description": meaning, "datasource": SOURCE, "gridPos": place,
            "fieldConfig": {"defaults": {"unit": unit, "min": 0, **custom}, "overrides": []}, "targets": targets}


# Panels whose answers come from elsewhere: (type of the source, its variable, the field of a query).
OTHERS = {"traces": ("tempo", "traces", "query"), "logs": ("loki", "logs", "expr")}


def other(index: int, place: dict, about: tuple) -> dict:
    title, kind, _, queries, meaning = about
    made = {"id": index, "type": kind, "title": title, "description": meaning, "gridPos": place, "targets": []}
    if kind == "text":
        return {**made, "description": "", "options": {"mode": "markdown", "content": meaning}}
    source, variable, field = OTHERS[kind]
    uid = {"type": source, "uid": f"${{{variable}}}"}
    targets = [{"refId": "A", "datasource": uid, field: query, "queryType": "traceql" if kind == "traces" else "range"}
               for _, query in queries]
    return {**made, "type": "table" if kind == "traces" else kind, "datasource": uid, "targets": targets}


def page(uid: str, title: str, panels: list, prices: dict) -> dict:
    """Numbers in the first row, four of them; below two panels a row."""
    made, x, y = [], 0, 0
    for index, about in enumerate(panels, 1):
        small = about[1] == "stat"
        width, height = (6, 4) if small else (12, 8)
        made.append(panel(index, {"x": x, "y": y, "w": width, "h": height}, about))
        x += width
        if x >= 24:
            x, y = 0, y + height
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    sources = [source]
    if uid == "job":
        sources += [{"name": variable, "type": "datasource", "query": kind, "label": kind.capitalize()}
                    for kind, variable, _ in OTHERS.values()]
        sources.append({"name": "job", "type": "textbox", "label": "Name of the job", "query": "", "current": {"text": "", "value": ""}})
    boxes = [{"name": name, "type": "textbox", "label": f"{name.replace('_', ' of an hour of ')}, USD", "query": value,
              "current": {"text": value, "value": value}} for name, value in prices.items()]
    return {"uid": f"shanshui-{uid}", "title": title, "tags": ["shanshui"], "schemaVersion": 39, "editable": True,
            "time": {"from": "now-6h", "to": "now"}, "refresh": "30s", "templating": {"list": [*sources, *boxes]}, "panels": made}


def main(check: bool) -> int:
    stale = 0
    for uid, (title, panels, prices) in PAGES.items():
        text = json.dumps(page(uid, title, panels, prices), indent=1, ensure_ascii=False) + "\n"
        path = HERE / f"{uid}.json"
        if check and (not path.exists() or path.read_text() != text):
            print(f"{path.name} is not what make.py makes: run it")
            stale = 1
        elif not check:
            path.write_text(text)
    return stale


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
