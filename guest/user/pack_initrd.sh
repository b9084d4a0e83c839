#!/bin/sh
# Packs the initial file system: pack_initrd.sh SOURCE_DIR STAGE_DIR ARCHIVE PROGRAM...
# A program lands in the folder that the end of its path names: bin/NAME or service/NAME.
# The archive depends on nothing but its contents: fixed names, order, owner, mode and time.
set -eu
source_dir=$1 stage=$2 archive=$3
shift 3

rm -rf "$stage"
mkdir -p "$stage/bin" "$stage/service" "$stage/etc" "$stage/share/deep/er" "$stage/test"
for program; do
    cp "$program" "$stage/$(basename "$(dirname "$program")")/"
done
cp "$source_dir/files/motd" "$stage/etc/motd"
cp "$source_dir/files/fork.txt" "$stage/share/fork.txt"
printf 'You have found it.\n' > "$stage/share/deep/er/treasure"

# 4096 lines of 16 bytes: whoever knows the offset knows the contents.
seq -f 'line %05.0f text' 0 4095 > "$stage/share/lines.txt"

# What exec must refuse.
: > "$stage/test/empty"
head -c 40 "$stage/bin/cat" > "$stage/test/cut-in-header"
head -c 4200 "$stage/bin/cat" > "$stage/test/cut-in-segment"
printf '#not a program\n' > "$stage/test/not-a-program"

cd "$stage"
tar --format=ustar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
    -cf "$archive" bin etc service share test
