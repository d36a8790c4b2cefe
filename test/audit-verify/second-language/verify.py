"""A verifier of JSONL exports, written from docs/audit-format.md alone. Python's standard library, and openssl for signatures.

usage: verify.py <export.jsonl> <signers.json> [<directory of tiles>]     prints {ok, events, signatures, findings, roots} as JSON
The directory holds the log of checkpoints, of which only the entries are read: they limit signers.
"""

import base64
import datetime
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import tempfile

EVENT_TYPE = b"application/vnd.castellan.audit-event.v1"
BATCH_TYPE = b"application/vnd.castellan.audit-batch.v1"
REQUIRED = {"v", "chain", "seq", "id", "eventType", "ts", "actor", "payload", "prevHash", "signerId"}
UNSIGNED_TYPES = {
    "access.denied",
    "access.lock.placed",
    "agent.expired",
    "agent.invalidated",
    "agent.quarantined",
    "agent.stopped",
    "audit.hold.placed",
    "killswitch.engaged",
    "signer.compromise",
    "signer.revoked",
    "signer.rotation.requested",
    "workspace.suspended",
}
GENESIS = "0" * 64
TOLERANCE_MS = 5000
DOUBTFUL_RUNS = 10_000
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


# --- Canonical JSON (RFC 8785) ---


def number(value):
    """The text of a double as ECMAScript writes it."""
    if value == 0:
        return "0"
    sign, value = ("-", -value) if value < 0 else ("", value)
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    power = point - 1
    tail = digits[0] + ("." + digits[1:] if count > 1 else "")
    return f"{sign}{tail}e{'+' if power > 0 else '-'}{abs(power)}"


def canonical(value):
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    names = sorted(value, key=lambda name: name.encode("utf-16-be"))
    return "{" + ",".join(canonical(name) + ":" + canonical(value[name]) for name in names) + "}"


def parse_body(body):
    """The event, or None for bytes that are no canonical event of version 1."""
    try:
        event = json.loads(body.decode("utf-8"), parse_int=float, parse_float=float)
        if canonical(event).encode("utf-8") != body:
            return None
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or set(event) - {"traceId"} != REQUIRED or event["v"] != 1:
        return None
    if not isinstance(event["seq"], float) or event["seq"] < 1 or event["seq"] % 1 != 0:
        return None
    if not re.fullmatch(r"[0-9a-f]{64}", str(event["prevHash"])) or milliseconds(event["ts"]) is None:
        return None
    event["seq"] = int(event["seq"])
    return event


def milliseconds(text):
    try:
        moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    except (TypeError, ValueError):
        return None
    return round((moment - datetime.datetime(1970, 1, 1)).total_seconds() * 1000)


# --- Signatures ---


def low_s_der(signature):
    def integer(at):
        length = signature[at + 1]
        raw = signature[at + 2 : at + 2 + length]
        minimal = len(raw) == length and length > 0 and raw[0] < 0x80
        if length > 1 and raw[0] == 0 and raw[1] < 0x80:
            minimal = False
        return (int.from_bytes(raw, "big") if minimal and signature[at] == 2 else 0), at + 2 + length

    try:
        if signature[0] != 0x30 or signature[1] != len(signature) - 2:
            return False
        r, at = integer(2)
        s, at = integer(at)
        return at == len(signature) and 0 < r < P256_ORDER and 0 < s <= P256_ORDER // 2
    except IndexError:
        return False


def pae(payload_type, payload):
    return b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type, len(payload), payload)


def root_above(digest, batch):
    """The root over an event's hash by its place in the batch (RFC 9162, 2.1.3.2); None where it leads to none."""
    try:
        index, size = batch["index"], batch["size"]
        path = [base64.b64decode(one, validate=True) for one in batch["path"]]
    except (KeyError, TypeError, ValueError):
        return None
    if type(index) is not int or type(size) is not int or not 0 <= index < size:
        return None
    node, own, last = hashlib.sha256(b"\0" + digest).digest(), index, size - 1
    for sibling in path:
        if last == 0 or len(sibling) != 32:
            return None
        if own % 2 == 1 or own == last:
            node = hashlib.sha256(b"\1" + sibling + node).digest()
            while own % 2 == 0 and own != 0:
                own, last = own >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\1" + node + sibling).digest()
        own, last = own >> 1, last >> 1
    return node if last == 0 else None


def signed_message(line, digest):
    """What a signature over this hash is made over, in the mode of the line."""
    if line.get("signMode") != "batch":
        return pae(EVENT_TYPE, bytes.fromhex(digest))
    root = root_above(bytes.fromhex(digest), line.get("batch"))
    return None if root is None else pae(BATCH_TYPE, root)


# Many events have the same signature over the same root.
KNOWN = {}


def signed(signer, line, digest, signature):
    message = signed_message(line, digest)
    if message is None:
        return False
    question = (signer["signerId"], message, signature)
    if question not in KNOWN:
        KNOWN[question] = verifies(signer, message, signature)
    return KNOWN[question]


def verifies(signer, message, signature):
    if signer["alg"] == "Ed25519" and len(signature) != 64:
        return False
    if signer["alg"] == "ECDSA-P256-SHA256" and not low_s_der(signature):
        return False
    with tempfile.TemporaryDirectory() as directory:

        def file(name, content):
            path = f"{directory}/{name}"
            with open(path, "wb") as out:
                out.write(content)
            return path

        key = file("key", signer["publicKey"].encode())
        data, sig = file("data", message), file("sig", signature)
        if signer["alg"] == "Ed25519":
            command = ["pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin", "-in", data, "-sigfile", sig]
        else:
            command = ["dgst", "-sha256", "-verify", key, "-signature", sig]
            if signer["alg"] == "RSA-PSS-SHA256":
                command += ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]
            command.append(data)
        return subprocess.run(["openssl", *command], capture_output=True, check=False).returncode == 0


def out_of_range(signer, ms, seq, covered):
    """`covered`: what the first N entries of the log of checkpoints cover of the event's chain; None where that is not known."""
    state, until = signer["state"], milliseconds(signer.get("revokedAt") or "")
    first, last = milliseconds(signer.get("notBefore") or ""), milliseconds(signer.get("notAfter") or "")
    start, end = covered(signer.get("validFromSize")), covered(signer.get("validToSize"))
    past = end is not None and seq > end
    if state == "compromised":
        trusted = milliseconds(signer.get("trustedUpTo") or "")
        trusted = until if trusted is None else trusted
        if trusted is None or ms > trusted or past:
            return "signer-compromised"
    wrong = state == "pending" or past or (start is not None and seq <= start)
    wrong = wrong or (state == "revoked" and (until is None or ms > until + TOLERANCE_MS))
    wrong = wrong or (first is not None and ms < first - TOLERANCE_MS)
    wrong = wrong or (last is not None and ms > last + TOLERANCE_MS)
    return "signer-out-of-range" if wrong else None


MEMBERS = "signerId alg publicKey purpose state notBefore notAfter revokedAt trustedUpTo validFromSize validToSize replaces".split()


def registry_digest(entries):
    entries = sorted(entries, key=lambda entry: entry["signerId"])
    listed = [{name: entry.get(name) for name in MEMBERS} for entry in entries]
    return "sha256:" + hashlib.sha256(canonical(listed).encode("utf-8")).hexdigest()


def log_entries(directory):
    """[chain, size] of each entry of the log of checkpoints, in its order."""
    root, bundles = os.path.join(directory, "tile", "entries"), {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), root).replace("x", "").replace(os.sep, "/")
            index, _, width = path.partition(".p/")
            at = int(index.replace("/", ""))
            with open(os.path.join(folder, name), "rb") as file:
                bundles[at] = max(bundles.get(at, (0, b"")), (int(width or 256), file.read()))
    entries = []
    for at in sorted(bundles):
        data = bundles[at][1]
        while data:
            length = int.from_bytes(data[:2], "big")
            entry = json.loads(data[2 : 2 + length])
            entries.append((entry["chain"], entry["size"]))
            data = data[2 + length :]
    return entries


def bound(member, personal):
    """Whether a member of a payload commits to this text, with this salt."""
    salt = base64.b64decode(personal["salt"])
    return len(salt) == 32 and member == {"c": hmac.new(salt, personal["value"].encode("utf-8"), "sha256").hexdigest()}


# --- One chain ---


def kept_up_to(seqs):
    """Up to where an attestation may begin: the first one of these past 10,000 runs of consecutive seqs."""
    runs = [seq for index, seq in enumerate(seqs) if index == 0 or seqs[index - 1] + 1 != seq]
    return runs[DOUBTFUL_RUNS] if len(runs) > DOUBTFUL_RUNS else float("inf")


class Chain:
    def __init__(self, name, signers, findings, log, approvals):
        self.name, self.signers, self.findings, self.log = name, signers, findings, log
        self.approvals = sorted(approvals, key=lambda one: one["to"])
        self.applied, self.resumed, self.holes = None, None, []
        self.doubtful, self.last, self.registry = {}, {}, None
        self.signatures = 0
        self.seq, self.link, self.ms = 0, GENESIS, None
        self.weak = False
        self.mode, self.cover = "event", None
        self.settled, self.uncovered = 0, []
        self.subtrees, self.size = [], 0

    def report(self, seq, name):
        self.findings.append({"chain": self.name, "seq": seq, "class": name})

    def add(self, line):
        seq, body = line["seq"], base64.b64decode(line["body"], validate=True)
        digest = hashlib.sha256(body).hexdigest()
        event = parse_body(body)
        if seq <= self.seq:
            self.report(seq, "replayed")
            return
        if seq > self.seq + 1:
            self.holes.append((self.seq + 1, seq - 1))
            self.applied = next((one for one in self.approvals if one["to"] >= seq - 1), self.applied)
            self.link = None
        self.seq = seq
        self.grow(seq, body)
        problem, over = self.judge(line, digest, event)
        if problem == "signer-compromised":
            self.doubtful.setdefault(event["signerId"], []).append(seq)
            self.last[event["signerId"]] = (seq, over)
        elif problem:
            self.report(seq, problem)
        authentic = digest == line["hash"] or over == digest
        if event is None or not authentic:
            if event is None and not problem:
                self.report(seq, "non-canonical")
            self.link, self.ms, self.weak = (None if problem else line["hash"]), None, False
            return
        if self.edited(line, event):
            self.report(seq, "projection-edited")
        if problem and problem.startswith("signature"):
            self.link, self.ms = None, None
            return
        self.approve(seq, digest, event, over)
        if event["prevHash"] != self.link:
            self.mode, self.cover = None, None
        if not problem and event["eventType"] == "audit.range.reattested":
            if event["payload"]["signerId"] != event["signerId"]:
                self.vouch(event["payload"])
        if self.name == "_system" and event["eventType"].startswith("signer.") and "registryDigest" in event["payload"]:
            self.registry = (seq, event["payload"])
        if event["signerId"] is not None:
            self.in_mode(seq, line.get("signMode", "event"), event)
        self.follow(seq, digest, event)

    def judge(self, line, digest, event):
        """What is wrong with the signature, and the digest that it is over."""
        if event is not None and event["signerId"] is None:
            if digest != line["hash"]:
                return "body-edited", None
            rotation = event["eventType"] == "signer.rotation.requested"
            allowed = event["eventType"] in UNSIGNED_TYPES and (not rotation or event["payload"].get("emergency") is True)
            return (None if allowed else "signature-missing"), None
        if not line["signature"]:
            return "signature-missing", None
        name = event["signerId"] if event is not None and digest == line["hash"] else line["signerId"]
        signer = self.signers.get(name)
        if signer is None:
            return "signer-out-of-range", None
        signature = base64.b64decode(line["signature"])
        over = next((one for one in (line["hash"], digest) if signed(signer, line, one, signature)), None)
        if over is None:
            others = [one for one in self.signers.values() if one is not signer and signed(one, line, line["hash"], signature)]
            if not others:
                return "signature-wrong", None
            return "signature-wrong-key" if others[0]["alg"] == signer["alg"] else "signature-wrong-algorithm", None
        if signer["purpose"] != "audit":
            return "signature-wrong-key", over
        self.signatures += 1
        if digest != line["hash"]:
            return ("body-edited" if over == line["hash"] else "hash-edited"), over
        return self.out_of_range(signer, event) if event is not None else None, over

    def out_of_range(self, signer, event):
        def covered(size):
            if size is None or self.log is None or size > len(self.log):
                return None
            return max([of for chain, of in self.log[: int(size)] if chain == self.name], default=0)

        return out_of_range(signer, milliseconds(event["ts"]), event["seq"], covered)

    def vouch(self, payload):
        name, first, last = payload["signerId"], payload["from"], payload["to"]
        held = self.doubtful.get(name, [])
        if self.last.get(name) != (last, payload["hash"]) or first > kept_up_to(held):
            return
        left = [seq for seq in held if not first <= seq <= last]
        if len(left) < len(held):
            self.report(int(first), "reattested")
        self.doubtful[name] = left

    def edited(self, line, event):
        columns = ("id", "eventType", "ts", "actor", "prevHash", "signerId")
        payload = json.loads(json.dumps(line["payload"]), parse_int=float)
        if line.get("signMode") != "batch" and line.get("batch") is not None:
            return True
        if not all(bound(event["payload"].get(name), one) for name, one in line.get("personal", {}).items()):
            return True
        return payload != event["payload"] or any(line[name] != event[name] for name in columns)

    def in_mode(self, seq, mode, event):
        """A signed event is in the mode of its chain, which only a switch changes; a cover may stand right before that."""
        before, cover = self.mode, self.cover
        self.cover = None
        if event["eventType"] == "audit.signmode.switched":
            self.mode = mode
            start, end = event["payload"].get("from"), event["payload"].get("to")
            if end != mode or start == mode or before not in (None, start):
                self.report(seq, "projection-edited")
        elif event["eventType"] == "audit.deferred.covered":
            self.cover = (seq, mode) if before not in (None, mode) else None
            if cover is not None:
                self.report(cover[0], "projection-edited")
        else:
            self.mode = mode
            if cover is not None:
                self.report(cover[0], "projection-edited")
            elif before not in (None, mode):
                self.report(seq, "projection-edited")

    def follow(self, seq, digest, event):
        ms = milliseconds(event["ts"])
        if self.link is not None and event["prevHash"] != self.link:
            self.report(seq - 1 if self.weak else seq, "body-edited" if self.weak else "forked")
        elif self.ms is not None and ms < self.ms - TOLERANCE_MS:
            self.report(seq, "clock-regression")
        self.weak = event["signerId"] is None
        if self.weak:
            self.uncovered.append(seq)
        else:
            covers = event["payload"] if event["eventType"] == "audit.deferred.covered" else None
            if covers is not None:
                first, last = covers.get("from"), covers.get("to")
                # What is damaged or missing may be part of the run.
                run = [one for one in self.uncovered if one > self.settled]
                if last == seq - 1 and self.settled < first <= (run[0] if run else last):
                    self.uncovered = [one for one in self.uncovered if not first <= one <= last]
                else:
                    self.report(seq, "forked")
            self.settled = seq
        self.link, self.ms = digest, ms

    # --- Removed events ---

    def approve(self, seq, digest, event, over):
        for one in self.approvals:
            if one["seq"] == seq and one["digest"] == digest and over is not None:
                one["counts"] = True
            if (one["to"] == seq and digest != one["hash"]) or (one["to"] + 1 == seq and event["prevHash"] != one["hash"]):
                one["other"] = True

    def removed(self):
        counting = [one for one in self.approvals if one.get("counts")]
        for one in counting:
            if one.get("other"):
                self.report(one["seq"], "forked")
        upto = max([one["to"] for one in counting], default=0)
        last = max([min(end, upto) for first, end in self.holes if first <= upto], default=0)
        if last > 0:
            self.report(next(one["to"] for one in counting if one["to"] >= last), "pruned")
        for first, end in self.holes:
            if end > upto:
                self.report(max(first, upto + 1), "gap")

    def finish(self, version, digest):
        self.removed()
        for seq in sum(self.doubtful.values(), []):
            self.report(seq, "signer-compromised")
        if self.registry is not None and version is not None and self.registry[1].get("registryVersion") == version:
            if self.registry[1]["registryDigest"] != digest:
                self.report(self.registry[0], "projection-edited")
        if self.uncovered:
            self.report(self.uncovered[0], "deferred-uncovered")

    # --- The tree (RFC 6962) ---

    def grow(self, seq, body):
        if self.applied is not None and seq <= self.applied["to"]:
            return
        if self.applied is not self.resumed:
            self.resumed = self.applied
            self.size, self.subtrees = self.applied["to"], list(self.applied["subtrees"])
        node, rest = hashlib.sha256(b"\0" + body).digest(), self.size
        while rest % 2 == 1:
            node, rest = hashlib.sha256(b"\1" + self.subtrees.pop() + node).digest(), rest // 2
        self.subtrees.append(node)
        self.size += 1

    def root(self):
        node = self.subtrees[-1]
        for left in reversed(self.subtrees[:-1]):
            node = hashlib.sha256(b"\1" + left + node).digest()
        return base64.b64encode(node).decode()


def approval_in(line):
    """What an event says that approves the removal of others; None for one that does not."""
    body = base64.b64decode(line["body"], validate=True)
    event = parse_body(body) if b'"eventType":"audit.pruned"' in body else None
    if event is None or event["chain"] != line["chain"]:
        return None
    payload = event["payload"]
    to, tree = payload.get("to"), base64.b64decode(payload.get("tree", ""))
    if not isinstance(to, float) or to % 1 != 0 or not 1 <= to < event["seq"]:
        return None
    to, hashes = int(to), [tree[at : at + 32] for at in range(8, len(tree), 32)]
    if int.from_bytes(tree[:8], "big") != to or len(hashes) != bin(to).count("1") or len(tree) % 32 != 8:
        return None
    digest = hashlib.sha256(body).hexdigest()
    return {"seq": event["seq"], "digest": digest, "to": to, "hash": payload.get("hash"), "subtrees": hashes}


def approvals_in(export):
    """They come after what they approve, so the file is read for them first."""
    found = {}
    with open(export, encoding="utf-8") as file:
        for line in map(json.loads, file):
            approval = approval_in(line)
            if approval is not None:
                found.setdefault(line["chain"], []).append(approval)
    return found


NOTICES = {"reattested", "redacted", "pruned"}


def main(export, registry, tiles=None):
    with open(registry, encoding="utf-8") as file:
        document = json.load(file, parse_int=float)
    signers = {entry["signerId"]: entry for entry in document["signers"]}
    log = None if tiles is None else log_entries(tiles)
    approvals, chains, findings, events = approvals_in(export), {}, [], 0
    with open(export, encoding="utf-8") as file:
        for text in file:
            line = json.loads(text)
            name = line["chain"]
            if name not in chains:
                chains[name] = Chain(name, signers, findings, log, approvals.get(name, []))
            chains[name].add(line)
            events += 1
    for chain in chains.values():
        chain.finish(document.get("version"), registry_digest(document["signers"]))
    signatures = sum(chain.signatures for chain in chains.values())
    print(
        json.dumps(
            {
                "ok": signatures > 0 and all(one["class"] in NOTICES for one in findings),
                "events": events,
                "signatures": signatures,
                "findings": sorted(findings, key=lambda one: (one["chain"], one["seq"])),
                "roots": {name: chain.root() for name, chain in chains.items()},
            }
        )
    )


main(*sys.argv[1:])
