//! The help texts.

use crate::lab_process::run;

#[test]
fn help_says_what_each_option_does() {
    insta::assert_snapshot!(run(&["up", "--help"]).1, @r#"
    Start a lab and show its requests until Ctrl-C

    Usage: reefguide-lab up [OPTIONS]

    Options:
          --host <ADDRESS>      Address that both servers listen on; in a container 0.0.0.0 [default: 127.0.0.1]
          --port <PORT>         Port of the job API; 0 takes a free one [default: 5000]
          --s3-port <S3_PORT>   Port of the S3 server; 0 takes a free one [default: 9000]
          --data <DIR>          Keep jobs and objects in this folder, and begin with what is there
          --any-type            Accept jobs of every type name
          --job-type <NAME>     Accept jobs of this type too, with any payload; may be repeated
          --schema <NAME=FILE>  Accept jobs of this type whose payload fits the JSON Schema in FILE; may be repeated
          --open                Open the lab's page in the browser
          --quiet               Show no requests
      -h, --help                Print help
    "#);
    insta::assert_snapshot!(run(&["submit", "--help"]).1, @r"
    Give a job to a running lab, with no account

    Usage: reefguide-lab submit [OPTIONS] --input <JSON|FILE|-> <JOB_TYPE>

    Arguments:
      <JOB_TYPE>  The job type

    Options:
          --input <JSON|FILE|->  The payload: JSON, a file with it, or `-` for stdin
          --watch                Wait for the job's end and show it; exit with 0 if it succeeded
          --lab <URL>            The lab's API [env: API_ENDPOINT=] [default: http://127.0.0.1:5000]
      -h, --help                 Print help
    ");
    insta::assert_snapshot!(run(&["fault", "--help"]).1, @r#"
    Set a fault dial of a running lab

    Usage: reefguide-lab fault [OPTIONS] [ROUTE] [KIND]

    Arguments:
      [ROUTE]
              Where it strikes: login, token, create, poll, assign, job, result, download, s3-put, s3-upload-part, s3-complete-upload, s3-get, any-api, any-s3, any, …

      [KIND]
              What goes wrong

              Possible values:
              - status:           Answered with `--status` as the server would, undone
              - page:             Answered by a proxy's HTML page with `--status`, undone
              - swapped-answer:   Handled, but a proxy's HTML page with `--status` is the answer
              - redirect:         Answered by a redirect to `--location`, undone
              - delay:            Handled after `--ms`
              - lost-answer:      Handled, but the connection is reset instead of an answer
              - reset:            The connection is reset, nothing done
              - stale-keep-alive: A reused connection is closed as the request comes
              - expire-tokens:    All access tokens end before the request is handled
              - slow-body:        The answer's body comes `--ms` after its head
              - slow-pieces:      Each piece of the answer's body comes after `--ms`
              - cut-body:         The connection is reset after `--bytes` of the answer's body
              - corrupt-body:     The byte after `--bytes` of the answer's body is another one
              - cut-upload:       The connection is reset after `--bytes` of the request's body, nothing done
              - corrupt-upload:   The byte after `--bytes` of the request's body is another one

    Options:
          --status <STATUS>
              The status to answer with, 200 to 599 [default: 500 for status, 200 for page and swapped-answer, 302 for redirect]

          --location <URL>
              Where a redirect points to; without it, to the same address with https

          --retry-after <SECONDS>
              Seconds of `Retry-After`, with a status

          --ms <MS>
              Milliseconds to wait, for a delay or a slow body

              [default: 1000]

          --bytes <BYTES>
              Bytes of a body that pass before it is cut or corrupted

              [default: 0]

          --count <COUNT>
              How often it strikes; without it, until the dials are cleared

          --skip <SKIP>
              How many requests pass before it strikes

              [default: 0]

          --clear
              Clear all dials first; with no route and kind, only that

          --lab <URL>
              The lab's API

              [env: API_ENDPOINT=]
              [default: http://127.0.0.1:5000]

      -h, --help
              Print help (see a summary with '-h')
    "#);
}
