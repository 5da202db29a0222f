"""Changes the code that decides a login, one small change at a time, and expects a test to fail each time.

What is changed is cargo-mutants' list (.cargo/mutants.toml says of which files). All of it is built into one copy of the sources, each
change behind a switch (tests/mutation), so that a change costs one run of the tests next to the code, not a build. What survives that
is tried on logins through the real libpam (tests/pam), and then on the trials of the proof kit (tests/proof). What can't be behind a
switch is left to cargo-mutants. What survives all has to stand in docs/mutation.md, with the reason.

Usage: scripts/mutants.py TARGET-FOLDER [--regex RE]
"""

import argparse
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from kit import PROGRAMS, run_kit
from sources import REPOSITORY, copy_sources

PACKAGES = ["mfa-core", "pam-mfa"]
LOGINS = "mfa-pam-tests"
CARGO = os.environ.get("CARGO", "cargo")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("--regex", default="", help="only the changes whose names have this in them")
    words = parser.parse_args()
    work = words.target.resolve() / "mutants"
    changes = [change for change in listed() if re.search(words.regex, change["name"])]
    if not changes:
        sys.exit(f"no change has {words.regex!r} in its name")
    sources = Switched(work, changes)
    sources.build()
    verdicts = sources.tried_beside()
    for number in [number for number, verdict in verdicts.items() if verdict == "survives"]:
        verdicts[number] = sources.tried_on_the_built_module(number)
    verdicts |= left_to_cargo_mutants(work, changes, sources)
    report(changes, verdicts)


def listed():
    command = [CARGO, "mutants", "--list", "--json", *packages(PACKAGES)]
    return json.loads(subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE).stdout)


def packages(names):
    return [word for name in names for word in ("--package", name)]


class Switched:
    """The copy of the sources with all changes that can be behind a switch."""

    def __init__(self, work, changes):
        self.tree, self.target, self.changes = work / "switched", work / "target", changes
        self.work, self.list, self.chosen = work, work / "list.json", self.tree / "chosen"
        self.built, self.left_out = [], set()
        self.environment = {
            **os.environ,
            "CARGO_TARGET_DIR": str(self.target),
            "CARGO_PROFILE_DEV_DEBUG": "0",
            "CARGO_INCREMENTAL": "0",
            # What is generated is not read by people.
            "RUSTFLAGS": "--cap-lints=allow",
        }
        self.environment.pop("MFA_MUTANT", None)
        self.chosen.unlink(missing_ok=True)
        work.mkdir(parents=True, exist_ok=True)
        self.list.write_text(json.dumps(changes))

    def build(self):
        """Leaves out what does not compile until the rest does: cargo-mutants guesses values from types alone."""
        own = {**os.environ, "CARGO_TARGET_DIR": str(self.target)}
        subprocess.run([CARGO, "build", "--locked", "--quiet", "-p", "mfa-mutation"], cwd=REPOSITORY, env=own, check=True)
        while True:
            copy_sources(self.tree)
            command = [self.target / "debug/mfa-mutation", self.tree, self.list, *map(str, sorted(self.left_out))]
            self.built = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            wrong = self.numbers_that_do_not_compile()
            if not wrong:
                break
            self.left_out |= wrong
        print(f"{len(self.built)} of {len(self.changes)} changes are behind switches", flush=True)
        build = [CARGO, "build", "--locked", "--quiet", *packages([*PROGRAMS, LOGINS, "mfa-proof"])]
        subprocess.run(build, cwd=self.tree, env=self.environment, check=True)
        verdict, what = self.kit()
        if verdict != "passed":
            sys.exit(f"error: the proof kit fails without any change: {what}")
        self.tests = {package: self.test_programs(package) for package in [*PACKAGES, LOGINS]}

    def numbers_that_do_not_compile(self):
        check = [CARGO, "check", "--locked", "--message-format=json", *packages(PACKAGES)]
        ran = subprocess.run(check, cwd=self.tree, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if ran.returncode == 0:
            return set()
        messages = [json.loads(line) for line in ran.stdout.splitlines()]
        errors = [m["message"] for m in messages if m["reason"] == "compiler-message" and m["message"]["level"] == "error"]
        wrong = {number for error in errors for number in self.at_fault(error)} - self.left_out
        if not wrong:
            sys.exit("error: the switched sources do not compile:\n" + "\n".join(error["rendered"] for error in errors))
        return wrong

    def at_fault(self, error):
        # "cannot call non-const associated function `Digits::get` in constants": it lost its `const` to a switch.
        constant = re.search(r"non-const [a-z ]*`(?:.*::)?(\w+)(?:::<.*>)?`", error["message"])
        if constant and constant[1] != "on":
            for number, change in enumerate(self.changes):
                if change["function"] and change["function"]["function_name"].split("::")[-1] == constant[1]:
                    yield number
            return
        for span in error["spans"]:
            if span["is_primary"]:
                lines = (self.tree / span["file_name"]).read_text().splitlines()[: span["line_end"]]
                before = "\n".join([*lines[:-1], lines[-1][: span["column_end"] - 1]])
                numbers = re.findall(r"switches::on\((\d+)\)", before)
                if numbers:
                    yield int(numbers[-1])

    def test_programs(self, package):
        """Each with the folder to run it in and how long it takes, the quickest first. They have to pass without a change."""
        command = [CARGO, "test", "--locked", "--no-run", "--message-format=json", "--package", package]
        ran = subprocess.run(command, cwd=self.tree, env=self.environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        messages = [json.loads(line) for line in ran.stdout.splitlines()]
        programs = []
        for message in messages:
            if message["reason"] == "compiler-artifact" and message["profile"]["test"] and message["executable"]:
                folder = Path(message["manifest_path"]).parent
                began = time.monotonic()
                if not self.passes(message["executable"], folder, 600):
                    sys.exit(f"error: the tests of {message['target']['name']} fail without any change")
                programs.append((time.monotonic() - began, message["executable"], folder))
        return sorted(programs)

    def passes(self, program, folder, seconds, number=None):
        chosen = {} if number is None else {"MFA_MUTANT": str(number)}
        # The test of a panic needs a module of its own.
        command = [program, "--test-threads=2", "--skip", "panic"]
        # As cargo would run it.
        environment = {**self.environment, **chosen, "CARGO_MANIFEST_DIR": str(folder)}
        running = subprocess.Popen(
            command, cwd=folder, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        try:
            return running.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            # What a test started may outlive it.
            try:
                os.killpg(running.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            running.wait()

    def verdict(self, number, package, seen):
        for took, program, folder in self.tests[package]:
            if not self.passes(program, folder, max(60, 10 * took), number):
                return seen
        return "survives"

    def tried_beside(self):
        def one(number):
            verdict = self.verdict(number, self.changes[number]["package"], "seen")
            if verdict == "survives":
                print(f"not seen next to the code: {self.changes[number]['name']}", flush=True)
            return number, verdict

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            return dict(pool.map(one, self.built))

    def tried_on_the_built_module(self, number):
        # Whatever environment its host program has.
        self.chosen.write_text(str(number))
        try:
            verdict = self.verdict(number, LOGINS, "seen by logins")
            if verdict == "survives" and self.kit()[0] != "passed":
                verdict = "seen by the kit"
        finally:
            self.chosen.unlink()
        print(f"{verdict}: {self.changes[number]['name']}", flush=True)
        return verdict

    def kit(self):
        built = self.target / "debug"
        return run_kit(built / "mfa-proof", built / "pam-application", built, self.work)


def left_to_cargo_mutants(work, changes, sources):
    """One build for each: few, and most do not compile."""
    left = [number for number in range(len(changes)) if number not in set(sources.built)]
    if not left:
        return {}
    tree, output = work / "tree", work / "left"
    copy_sources(tree)
    shutil.rmtree(output, ignore_errors=True)
    names = "|".join(re.escape(changes[number]["name"]) for number in left)
    command = [CARGO, "mutants", "--in-place", "--no-shuffle", *packages(PACKAGES), "--output", output, "--re", f"^({names})$"]
    environment = {name: value for name, value in sources.environment.items() if name != "RUSTFLAGS"}
    ended = subprocess.run(command, cwd=tree, env=environment).returncode
    # 2: some survived; 3: some ran out of time, which is seen too.
    if ended not in (0, 2, 3):
        sys.exit(f"error: cargo mutants ended with {ended}")
    outcomes = json.loads((output / "mutants.out/outcomes.json").read_text())["outcomes"]
    words = {"CaughtMutant": "seen", "Timeout": "seen", "MissedMutant": "survives", "Unviable": "does not compile"}
    verdicts = {
        outcome["scenario"]["Mutant"]["name"]: words[outcome["summary"]]
        for outcome in outcomes if outcome["scenario"] != "Baseline"
    }
    return {number: verdicts[changes[number]["name"]] for number in left}


def report(changes, verdicts):
    files = sorted({change["file"] for change in changes})
    kinds = ["seen", "seen by logins", "seen by the kit", "survives", "does not compile"]
    print("| file | changes | " + " | ".join(kinds) + " |\n|---|---|" + "---|" * len(kinds))
    for file in files:
        counts = Counter(verdicts[number] for number, change in enumerate(changes) if change["file"] == file)
        print(f"| `{file}` | {counts.total()} | " + " | ".join(str(counts[kind]) for kind in kinds) + " |")
    survivors = [changes[number]["name"] for number, verdict in sorted(verdicts.items()) if verdict == "survives"]
    explained = explained_in((REPOSITORY / "docs/mutation.md").read_text())
    unexplained = [name for name in survivors if without_place(name) not in explained]
    for name in survivors:
        print(f"survives: {name}")
    if unexplained:
        sys.exit("error: no test sees these, and docs/mutation.md does not say why:\n  " + "\n  ".join(unexplained))
    print(f"{len(survivors)} survive, each for a reason in docs/mutation.md")


def without_place(name):
    """`core/src/verify.rs:1:2: replace < with > in find` without its line and column, which move."""
    return re.sub(r"^([^:]+):\d+:\d+: ", r"\1: ", name)


def explained_in(page):
    # A bar within a cell has a backslash.
    return {name.replace("\\|", "|") for name in re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)}


main()
