#!/bin/sh
# Makes the seed ELFs: one 32-bit, one 64-bit, each with two segments, a gap and a section that is not loaded.
# Needs binutils-arm-none-eabi and, for the second, binutils on an x86-64 machine.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '.section .text,"ax"\n.ascii "code"\n.section .data,"aw"\n.ascii "data"\n.section .bss,"aw",%%nobits\n.space 8\n' >"$work/in.s"
printf 'SECTIONS { .text 0x1000 : { *(.text) } .data 0x20000000 : AT(0x1010) { *(.data) } .bss : { *(.bss) } }\n' >"$work/in.ld"
for prefix in arm-none-eabi- x86_64-linux-gnu-; do
    "${prefix}as" "$work/in.s" -o "$work/in.o"
    "${prefix}ld" -z max-page-size=16 -T "$work/in.ld" -s "$work/in.o" -o "elf/${prefix}two-segments.elf"
    chmod 644 "elf/${prefix}two-segments.elf"
done
