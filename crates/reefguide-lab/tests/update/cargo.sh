#!/bin/sh
# Stands in for `cargo generate`: copies the worker from the folder beside it that has the tag's name, and records the
# destination. With a file `wait` beside it, it never ends.
[ "$*" = "generate --version" ] && exit
while [ $# -gt 0 ]; do
    case $1 in
        --tag) tag=$2 ;;
        --name) name=$2 ;;
        --destination) destination=$2 ;;
    esac
    shift
done
cd "$(dirname "$0")" || exit
echo "$destination" >> destinations
[ -e wait ] && exec sleep 600
exec cp -r "$tag" "$destination/$name"
