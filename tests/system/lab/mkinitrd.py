#!/usr/bin/env python3
"""Tiny initramfs: busybox + the closure of a few kernel modules, no initramfs-tools.
usage: mkinitrd.py MODULES_DIR(lib/modules/VER) BUSYBOX OUT module...
The modules are insmod'ed in dependency order; then root=<dev> is mounted and systemd started."""

import os, sys, subprocess, tempfile, shutil

moddir, busybox, out, want = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
base = moddir[: moddir.rindex("lib/modules")]
ver = os.path.basename(moddir.rstrip("/"))
if not os.path.exists(moddir + "/modules.dep"):
    subprocess.check_call(["depmod", "-b", base, ver])
deps, byname = {}, {}
for l in open(moddir + "/modules.dep"):
    k, v = l.split(":")
    deps[k] = v.split()
    byname[os.path.basename(k).split(".ko")[0].replace("-", "_")] = k
builtin = {os.path.basename(l.strip()).split(".ko")[0].replace("-", "_") for l in open(moddir + "/modules.builtin")}
order = []


def add(k):
    for d in deps[k]:
        add(d)
    if k not in order:
        order.append(k)


for m in want:
    n = m.replace("-", "_")
    if n in byname:
        add(byname[n])
    elif n not in builtin:
        print("mkinitrd: no module", m, file=sys.stderr)
d = tempfile.mkdtemp(dir=os.path.dirname(os.path.abspath(out)))
for s in "bin dev proc sys root mod".split():
    os.mkdir(f"{d}/{s}")
shutil.copy(busybox, d + "/bin/busybox")
lines = []
for k in order:
    src = f"{moddir}/{k}"
    dst = os.path.basename(k)
    if dst.endswith(".xz"):
        dst = dst[:-3]
        open(f"{d}/mod/{dst}", "wb").write(subprocess.check_output(["xz", "-dc", src]))
    else:
        shutil.copy(src, f"{d}/mod/{dst}")
    lines.append(f"insmod /mod/{dst}")
open(d + "/init", "w").write(
    """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
root=/dev/vda; init=/sbin/init
for a in $(cat /proc/cmdline); do case $a in root=*) root=${a#root=};; init=*) init=${a#init=};; esac; done
%s
i=0; while [ ! -b $root ] && [ $i -lt 600 ]; do sleep 0.1; i=$((i+1)); done
mount -o rw,noatime $root /root || { echo "PITEST initrd: cannot mount $root"; ls /dev; poweroff -f; }
mount --move /dev /root/dev; umount /proc; mount --move /sys /root/sys
exec switch_root /root $init
"""
    % "\n".join(lines)
)
os.chmod(d + "/init", 0o755)
p = subprocess.run(f"cd {d} && find . | cpio -o -H newc --quiet | gzip -1 > {os.path.abspath(out)}", shell=True)
shutil.rmtree(d)
print("initrd", out, os.path.getsize(out) >> 10, "KiB,", len(order), "modules")
