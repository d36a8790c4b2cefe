"""A verifier of JSONL exports, written from docs/audit-format.md alone. Python's standard library, and openssl for signatures.

usage: verify.py <export.jsonl> <signers.json>     prints {ok, events, signatures, findings, roots} as JSON
"""

import base64
import datetime
import hashlib
import json
import re
import subprocess
import sys
import tempfile

EVENT_TYPE = b"application/vnd.castellan.audit-event.v1"
BATCH_TYPE = b"application/vnd.castellan.audit-batch.v1"
REQUIRED = {"v", "chain", "seq", "id", "eventType", "ts", "actor", "payload", "prevHash", "signerId"}
UNSIGNED_TYPES = {
    "access.denied",
    "agent.expired",
    "agent.invalidated",
    "agent.quarantined",
    "agent.stopped",
    "audit.hold.placed",
    "signer.compromise",
    "signer.revoked",
    "signer.rotation.requested",
}
GENESIS = "0" * 64
TOLERANCE_MS = 5000
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


def out_of_range(signer, ms):
    state, until = signer["state"], milliseconds(signer.get("revokedAt") or "")
    first, last = milliseconds(signer.get("notBefore") or ""), milliseconds(signer.get("notAfter") or "")
    if state == "compromised":
        return None if until is not None and ms <= until else "signer-compromised"
    wrong = state == "pending"
    wrong = wrong or (state == "revoked" and (until is None or ms > until + TOLERANCE_MS))
    wrong = wrong or (first is not None and ms < first - TOLERANCE_MS)
    wrong = wrong or (last is not None and ms > last + TOLERANCE_MS)
    return "signer-out-of-range" if wrong else None


# --- One chain ---


class Chain:
    def __init__(self, name, signers, findings):
        self.name, self.signers, self.findings = name, signers, findings
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
        self.grow(body)
        if seq <= self.seq:
            self.report(seq, "replayed")
            return
        if seq > self.seq + 1:
            self.report(self.seq + 1, "gap")
            self.link = None
        self.seq = seq
        problem, over = self.judge(line, digest, event)
        if problem:
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
        if event["prevHash"] != self.link:
            self.mode, self.cover = None, None
        if event["signerId"] is not None:
            self.in_mode(seq, line.get("signMode", "event"), event)
        self.follow(seq, digest, event)

    def judge(self, line, digest, event):
        """What is wrong with the signature, and the digest that it is over."""
        if event is not None and event["signerId"] is None:
            if digest != line["hash"]:
                return "body-edited", None
            return (None if event["eventType"] in UNSIGNED_TYPES else "signature-missing"), None
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
        return out_of_range(signer, milliseconds(event["ts"])) if event is not None else None, over

    def edited(self, line, event):
        columns = ("id", "eventType", "ts", "actor", "prevHash", "signerId")
        payload = json.loads(json.dumps(line["payload"]), parse_int=float)
        if line.get("signMode") != "batch" and line.get("batch") is not None:
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

    def finish(self):
        if self.uncovered:
            self.report(self.uncovered[0], "deferred-uncovered")

    # --- The tree (RFC 6962) ---

    def grow(self, body):
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


def main(export, registry):
    with open(registry, encoding="utf-8") as file:
        signers = {entry["signerId"]: entry for entry in json.load(file)["signers"]}
    chains, findings, events = {}, [], 0
    with open(export, encoding="utf-8") as file:
        for text in file:
            line = json.loads(text)
            chain = chains.setdefault(line["chain"], Chain(line["chain"], signers, findings))
            chain.add(line)
            events += 1
    for chain in chains.values():
        chain.finish()
    signatures = sum(chain.signatures for chain in chains.values())
    print(
        json.dumps(
            {
                "ok": not findings and signatures > 0,
                "events": events,
                "signatures": signatures,
                "findings": sorted(findings, key=lambda one: (one["chain"], one["seq"])),
                "roots": {name: chain.root() for name, chain in chains.items()},
            }
        )
    )


main(*sys.argv[1:])
