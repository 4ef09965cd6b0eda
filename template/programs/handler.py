"""Averages numbers, and shows what a worker's program receives and returns.

The payload is on stdin and in the file JOB_INPUT. The worker stores the files in the folder JOB_OUTPUT_DIR, and the JSON
in the file JOB_RESULT becomes the job's result. The job's log has the lines on stdout and stderr. Exit with 0 for
success, with 75 to ask for another attempt, and with any other code to fail the job; the error quotes the last lines of
stderr.

To run it alone:
  echo '{"values": [1, 2]}' > /tmp/in.json
  JOB_INPUT=/tmp/in.json JOB_OUTPUT_DIR=/tmp JOB_RESULT=/tmp/result.json python3 THIS_FILE
"""

import json
import os
import sys
from pathlib import Path


def main():
    payload = json.loads(Path(os.environ["JOB_INPUT"]).read_text())
    values = payload["values"]
    if not values:
        sys.exit("there are no numbers")
    mean = sum(values) / len(values)
    print(f"averaged {len(values)} numbers")

    outputs = Path(os.environ["JOB_OUTPUT_DIR"])
    (outputs / "mean.txt").write_text(f"{mean}\n")
    result = {"mean": mean, "count": len(values)}
    Path(os.environ["JOB_RESULT"]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
