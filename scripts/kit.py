"""The proof kit on a module that somebody has broken on purpose."""

import os
import shutil
import subprocess

PROGRAMS = ["pam-mfa", "mfa-enroll", "mfa-admin"]
ARTIFACTS = ["libpam_mfa.so", "mfa-enroll", "mfa-admin"]


def run_kit(kit, application, built, work, words=("--stop-at-failure",)):
    """A quick run on the programs in `built`: "seen" with the trials that fail, "passed", or "broke" with the reason."""
    artifacts = work / "artifacts"
    shutil.rmtree(artifacts, ignore_errors=True)
    artifacts.mkdir(parents=True)
    for name in ARTIFACTS:
        (artifacts / name).symlink_to(built / name)
    (artifacts / "pam-application").symlink_to(application)
    command = [kit, "--quick", "--module", "pam_mfa", "--output", work / "out", *words]
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    ran = subprocess.run(
        [*as_root, "env", f"MFA_ARTIFACTS={artifacts}", "unshare", "--mount", "--propagation", "private", *command],
        cwd=work, capture_output=True, text=True,
    )
    failed = [line.split() for line in ran.stderr.splitlines() if line.startswith(("FAIL", "ERROR"))]
    # "FAIL 1 of 1 one-code-at-once pam_mfa seed .." or "ERROR broke one-code-at-once .."
    trials = [words[words.index("pam_mfa") - 1] for words in failed if "pam_mfa" in words]
    if trials:
        return ["seen", ", ".join(trials)]
    if ran.returncode != 0:
        return ["broke", ran.stderr.strip()[-1000:]]
    return ["passed", "every trial"]
