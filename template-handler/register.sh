#!/bin/sh
# Registers a handler in a worker's src/handlers/mod.rs:  register.sh FOLDER JOB_TYPE MODULE TYPE METHOD STYLE
set -eu
folder=$1 job_type=$2 module=$3 type=$4 method=$5 style=$6

refuse() {
    echo "$1" >&2
    exit 1
}

cd "$folder/src/handlers" 2>/dev/null && [ -f mod.rs ] ||
    refuse "$folder is not a worker: it has no src/handlers/mod.rs. Run cargo generate in the worker's folder"
for file in "src/handlers/$module.rs" "payloads/$job_type.json" "programs/$module.py"; do
    [ ! -e "$folder/$file" ] || refuse "$file exists: choose another job type, or edit that file"
done

# Declares the module after the first one, and appends the handler to the value that `registry` returns.
list=$(awk -v module="$module" -v type="$type" -v method="$method" '
    { if (/fn registry\(/) inside = 1 }
    inside && /^}/ { print "        ." method "(" module "::" type ")"; inside = 0; registered = 1 }
    { print }
    /^mod [a-z0-9_]+;/ && !declared { print "mod " module ";"; declared = 1 }
    END { exit !(declared && registered) }
' mod.rs) ||
    refuse "src/handlers/mod.rs has no \`mod …;\` or no \`fn registry(…)\`: add the handler by hand"
if command -v rustfmt >/dev/null; then
    list=$(echo "$list" | rustfmt --edition 2024) || refuse "rustfmt cannot format src/handlers/mod.rs: correct it first"
fi
printf '%s\n' "$list" >mod.rs
if [ -e "$folder/Dockerfile" ] && [ "$style" = program ] && ! grep -q programs "$folder/Dockerfile"; then
    echo "the image lacks the program: in the Dockerfile choose a base image with its interpreter and add `COPY programs programs`, and in .dockerignore add `!programs/`"
fi
