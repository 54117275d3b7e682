#!/usr/bin/env python3
"""modclosure.py SRC_MODULES_DIR DEST_ROOT module... : copy modules + dependencies into DEST_ROOT and run depmod"""

import os, sys, shutil, subprocess

src, dst, want = sys.argv[1].rstrip("/"), sys.argv[2], sys.argv[3:]
ver = os.path.basename(src)
base = src[: src.rindex("lib/modules")]
if not os.path.exists(src + "/modules.dep"):
    subprocess.check_call(["depmod", "-b", base, ver])
deps, byname = {}, {}
for l in open(src + "/modules.dep"):
    k, v = l.split(":")
    deps[k] = v.split()
    byname[os.path.basename(k).split(".ko")[0].replace("-", "_")] = k
out = f"{dst}/lib/modules/{ver}"
n = 0
for m in want:
    m = m.replace("-", "_")
    if m not in byname:
        print("modclosure: not a module (built in?):", m, file=sys.stderr)
        continue
    for k in [byname[m]] + deps[byname[m]]:
        os.makedirs(os.path.dirname(f"{out}/{k}"), exist_ok=True)
        if not os.path.exists(f"{out}/{k}"):
            shutil.copy(f"{src}/{k}", f"{out}/{k}")
            n += 1
for f in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
    shutil.copy(f"{src}/{f}", out)
print("modules copied:", n)
