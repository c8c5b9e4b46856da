"""The contract from the side of a foreign client: nats-py, msgpack and boto3, none of our code.

    python tests/clients/contract [CASE...]

NATS_URL, S3_ENDPOINT, S3_BUCKET, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY say where; SPEECH is a
folder with mountains.wav and silence.wav; MANY is how many jobs the last case publishes. Both
workers and `shanshui reconcile` run. It prints one line for each promise, and ends with 1 when one
is broken.
"""

import asyncio
import sys

import ends
import jobs
import publishing
import recordings
from lab import Lab

CASES = [
    publishing.raw_core,
    publishing.raw_reply,
    publishing.derived_id,
    publishing.header_case,
    publishing.dedup,
    publishing.used_name,
    publishing.lanes,
    jobs.json_full,
    jobs.seeds,
    jobs.msgpack_fields,
    jobs.formats,
    jobs.samplers,
    recordings.raw_recording,
    recordings.msgpack_recordings,
    recordings.by_key,
    recordings.until_picture,
    recordings.silence,
    recordings.read_back,
    ends.wrong,
    ends.disagreeing_headers,
    ends.late,
    ends.cancel,
    publishing.many,
]


async def main(wanted: list) -> bool:
    lab = Lab()
    await lab.open()
    known = {case.__name__: case for case in CASES}
    for case in wanted or known:
        try:
            await known[case](lab)
        except Exception as error:
            lab.say(case, False, f"{type(error).__name__}: {error}")
    told = await lab.finals()
    odd = {job: told.get(job, []) for job in lab.jobs if len(told.get(job, [])) != 1}
    lab.say(f"{len(lab.jobs)} jobs have one final event each", not odd, odd or "")
    await lab.nc.close()
    return lab.broken > 0


sys.exit(asyncio.run(main(sys.argv[1:])))
