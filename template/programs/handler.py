"""Averages numbers: what a worker's program is given, and what it gives back.

The payload is on stdin and in the file JOB_INPUT. Files in the folder JOB_OUTPUT_DIR are stored, and what is written to
JOB_RESULT becomes the job's result. What is printed goes to the job's log. Exit with 0 for success, 75 to have the job
tried again, anything else to fail it; the last lines on stderr say why.

On its own:  echo '{"values": [1, 2]}' > /tmp/in.json
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
