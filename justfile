# Chores by name; `just` lists them.

_default:
    @just --list --unsorted

# The example worker against the lab, from nothing to results
demo:
    cargo demo

# The lab alone: prints what to put into a worker's .env
lab *ARGS:
    cargo run --package reefguide-lab -- up {{ARGS}}

# The example worker, with the environment or .env of this folder
worker *ARGS:
    cargo run --package example-worker -- {{ARGS}}

# All tests, offline
test *ARGS:
    cargo test --workspace {{ARGS}}

# A worker of your own, beside this clone and with its library: just new reef-depths --define job_type=REEF_DEPTHS
new NAME *ANSWERS:
    cargo generate --path . template --name {{NAME}} --destination .. \
        --define sdk=path --define sdk_path=../{{file_name(justfile_directory())}} {{ANSWERS}}

# The templates: generates workers, builds and tries them (needs cargo-generate)
template-check *FILTER:
    cargo xtask template-check {{FILTER}}

# Workers in everything that can go wrong, at random: just soak --minutes 10 --seed 1
soak *OPTIONS:
    cargo xtask soak {{OPTIONS}}

# Whether the fault matrix would notice if a guard were missing
controls *FILTER:
    cargo xtask controls {{FILTER}}

# The example worker anew from the template, but for handlers and payloads
example:
    #!/usr/bin/env bash
    set -euo pipefail
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    cargo generate --path . template --name example-worker --silent --vcs none --no-workspace \
        --values-file examples/example-worker/template-answers.toml --destination "$folder"
    rm -r "$folder"/example-worker/{payloads,src/handlers}
    cp -r "$folder"/example-worker/. examples/example-worker/

# Format and lint
lint:
    cargo fmt --all
    .ci/run lint

# The structure of the code, compared with the rules and with the book's page about the architecture
check:
    cargo xtask check

# The types of other crates in the public API, compared with the reviewed lists: just public-types --write
public-types *OPTIONS:
    cargo xtask public-types {{OPTIONS}}

# API documentation, opened in a browser
doc:
    cargo doc --workspace --no-deps --open

# The book, in a browser
book:
    .ci/run tools
    target/tools/bin/mdbook serve docs --open

# The container image of a worker of this repository
image WORKER="example-worker":
    docker build --build-arg WORKER={{WORKER}} --tag {{WORKER}} .

# What the gate runs: all of it, or single steps
ci *STEPS:
    .ci/run {{STEPS}}
