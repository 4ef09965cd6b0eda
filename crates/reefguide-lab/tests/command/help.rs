//! The help texts.

use crate::lab_process::run;

#[test]
fn help_says_what_each_option_does() {
    insta::assert_snapshot!(run(&["up", "--help"]).1, @r"
    Start a lab and show its requests until Ctrl-C

    Usage: reefguide-lab up [OPTIONS]

    Options:
          --host <ADDRESS>      Address that both servers listen on; use 0.0.0.0 in a container [default: 127.0.0.1]
          --port <PORT>         Port of the job API; 0 for any free port [default: 5000]
          --s3-port <S3_PORT>   Port of the S3 server; 0 for any free port [default: 9000]
          --data <DIR>          Keep jobs and objects in this folder, and load those that are in it
          --any-type            Accept jobs of every type
          --job-type <NAME>     Also accept jobs of this type, with any payload; may be repeated
          --schema <NAME=FILE>  Also accept jobs of this type whose payload matches the JSON Schema in FILE; may be repeated
          --open                Open the lab's page in the browser
          --quiet               Do not show requests
      -h, --help                Print help
    ");
    insta::assert_snapshot!(run(&["submit", "--help"]).1, @r"
    Submit a job to a running lab, without an account

    Usage: reefguide-lab submit [OPTIONS] --input <JSON|FILE|-> <JOB_TYPE>

    Arguments:
      <JOB_TYPE>  The job type

    Options:
          --input <JSON|FILE|->  The payload: JSON, a JSON file, or `-` for stdin
          --watch                Wait until the job ends and print it; the exit code is 0 if it succeeded
          --lab <URL>            The lab's API [env: API_ENDPOINT=] [default: http://127.0.0.1:5000]
      -h, --help                 Print help
    ");
    insta::assert_snapshot!(run(&["fault", "--help"]).1, @r"
    Set a fault on a running lab

    Usage: reefguide-lab fault [OPTIONS] [ROUTE] [KIND]

    Arguments:
      [ROUTE]
              The route on which it fires: login, token, create, poll, assign, job, result, download, s3-put, s3-upload-part, s3-complete-upload, s3-get, any-api, any-s3, any, …

      [KIND]
              What goes wrong

              Possible values:
              - status:           The server's response with `--status`; the request is not handled
              - page:             A proxy's HTML page with `--status`; the request is not handled
              - swapped-answer:   A proxy's HTML page with `--status`, though the request is handled
              - redirect:         A redirect to `--location`; the request is not handled
              - delay:            The request is handled after `--ms`
              - lost-answer:      The request is handled, but the connection is reset instead of a response
              - reset:            The connection is reset; the request is not handled
              - stale-keep-alive: A reused connection is closed as the request arrives
              - expire-tokens:    All access tokens expire before the request is handled
              - slow-body:        The response body is sent `--ms` after the head
              - slow-pieces:      Each piece of the response body is sent after `--ms`
              - cut-body:         The connection is reset after `--bytes` of the response body
              - corrupt-body:     The byte after `--bytes` of the response body is wrong
              - cut-upload:       The connection is reset after `--bytes` of the request body; the request is not handled
              - corrupt-upload:   The byte after `--bytes` of the request body is wrong

    Options:
          --status <STATUS>
              The status of the response, 200 to 599 [default: 500 for status, 200 for page and swapped-answer, 302 for redirect]

          --location <URL>
              The target of a redirect [default: the same address with https]

          --retry-after <SECONDS>
              The `Retry-After` of a status, in seconds

          --ms <MS>
              The length of a delay, in milliseconds

              [default: 1000]

          --bytes <BYTES>
              How many bytes of the body pass before the fault

              [default: 0]

          --count <COUNT>
              How often it fires [default: until the faults are cleared]

          --skip <SKIP>
              How many requests pass before it first fires

              [default: 0]

          --clear
              Clear all faults first; without a route and a kind, do nothing else

          --lab <URL>
              The lab's API

              [env: API_ENDPOINT=]
              [default: http://127.0.0.1:5000]

      -h, --help
              Print help (see a summary with '-h')
    ");
}
