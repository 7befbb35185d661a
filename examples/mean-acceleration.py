#!/usr/bin/env python3
"""Owns an example of a processor in another language: the mean and the largest size of the acceleration in each window.

Follows the windows of committed readings of an organisation and stores one result a window, with nothing but Python's own
library (docs/processors.md). It may be stopped and started at any time: what it sends twice changes nothing, and where it
stood is in a file, written after the results of a page are stored.

    KYMO_KEY=ka_... python3 examples/mean-acceleration.py http://127.0.0.1:7900 --state cursor.txt

KYMO_KEY reads, and stores results when it is of scope admin. With KYMO_RESULT_KEY, a server key, it needs to read only.
"""

import argparse
import json
import math
import os
import pathlib
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ALGORITHM = "mean-acceleration"
# Grows whenever the same readings may give other numbers.
VERSION = 1
WAIT_S = 20
RETRY_S = 2


class Refused(Exception):
    """The server's answer, as a problem with a stable code."""

    def __init__(self, status, problem):
        super().__init__(problem.get("detail", f"the server answered {status}"))
        self.status = status
        self.code = problem.get("code", "")


def ask(origin, path, key, method="GET", body=None):
    """One request. Asks again while the server is away or busy; raises Refused for any other refusal."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    if data is None:
        del headers["content-type"]
    while True:
        request = urllib.request.Request(origin + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S + 10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read()
            if error.code not in (429, 503):
                try:
                    problem = json.loads(text)
                except ValueError:
                    problem = {}
                raise Refused(error.code, problem) from error
            time.sleep(float(error.headers.get("retry-after", RETRY_S)))
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            print(f"the server is away, asking again: {error}", file=sys.stderr)
            time.sleep(RETRY_S)


def sizes_of(stream):
    """The size of the acceleration at each reading, in m/s2; nothing for a stream without its three axes."""
    names = [axis["name"] for axis in stream["axes"]]
    units = {axis["unit"] for axis in stream["axes"] if axis["name"].startswith("acc_")}
    if not {"acc_x", "acc_y", "acc_z"} <= set(names) or not units <= {"m/s2", "m/s^2"}:
        return []
    # The time of a reading comes first in its row.
    columns = [1 + names.index(name) for name in ("acc_x", "acc_y", "acc_z")]
    rows = ([row[column] for column in columns] for row in stream["rows"])
    return [math.sqrt(sum(value * value for value in row)) for row in rows if None not in row]


def result_of(readings):
    """What is stored of a window: by segment, how many readings, their mean and peak acceleration in m/s2."""
    found = {}
    for stream in readings["streams"]:
        sizes = sizes_of(stream)
        if sizes:
            found[stream["segment"]] = {
                "readings": len(sizes),
                "meanMS2": math.fsum(sizes) / len(sizes),
                "peakMS2": max(sizes),
            }
    return found


def process(origin, window, keys):
    """Reads a window and stores its result. What changed meanwhile comes again by itself, with its new revision."""
    path = f"/v1/sessions/{window['session']}/windows/{window['startUs']}"
    try:
        readings = ask(origin, f"{path}/readings", keys["read"])
        ask(
            origin,
            f"{path}/results/{ALGORITHM}",
            keys["result"],
            "PUT",
            # The revision that was read, which may be newer than the one that was told.
            {
                "version": VERSION,
                "revision": readings["window"]["revision"],
                "result": result_of(readings),
            },
        )
        return True
    except Refused as refused:
        # Erased (404), dropped by retention (409), or changed between reading and storing (409 outdated).
        if refused.status in (404, 409):
            print(f"left out {path}: {refused}", file=sys.stderr)
            return False
        raise


def main():
    arguments = argparse.ArgumentParser(description="Mean and peak acceleration of each window.")
    arguments.add_argument("origin", help="address of the server: http://127.0.0.1:7900")
    arguments.add_argument("--state", default="mean-acceleration.cursor", help="file with where it stands")
    arguments.add_argument("--once", action="store_true", help="end when nothing new is there")
    given = arguments.parse_args()
    keys = {"read": os.environ["KYMO_KEY"]}
    keys["result"] = os.environ.get("KYMO_RESULT_KEY", keys["read"])
    state = pathlib.Path(given.state)
    cursor = state.read_text().strip() if state.exists() else None
    stored = 0
    while True:
        query = {"limit": 50, "wait": 0 if given.once else WAIT_S}
        if cursor:
            query["after"] = cursor
        page = ask(given.origin, f"/v1/windows?{urllib.parse.urlencode(query)}", keys["read"])
        for window in page["windows"]:
            stored += process(given.origin, window, keys)
        cursor = page["next"]
        # Replaced whole, so that a stop in between leaves the one before.
        state.with_suffix(".new").write_text(cursor)
        state.with_suffix(".new").replace(state)
        if given.once and not page["windows"]:
            print(json.dumps({"stored": stored}))
            return


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
