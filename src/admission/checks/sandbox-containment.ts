import { type AdmissionCheck, PASS, SKIP } from '../check.ts';
import { deny } from '../verdict.ts';

const NAME = 'sandboxContainment';
const CODE = 'CONTAINMENT_VIOLATION';

/**
 * A sandbox agent neither calls out nor writes what stays. The stored bytes and the JSON column are asked both, so that
 * an edit of either is seen; anything but `false` or nothing counts as asking for it.
 */
export const sandboxContainment: AdmissionCheck = {
  name: NAME,
  check({ mode, spec }) {
    if (mode !== 'sandbox') return SKIP;
    if (spec === null) return deny(NAME, CODE, 'the stored spec is gone');
    const fromBytes = parse(spec.bytes);
    if (fromBytes === undefined) return deny(NAME, CODE, 'the stored spec cannot be read');
    const asked = violation(fromBytes) ?? violation(spec.json);
    return asked === undefined ? PASS : deny(NAME, CODE, asked);
  },
};

function violation(spec: unknown): string | undefined {
  if (!isRecord(spec)) return 'the stored spec is no object';
  if (!Object.hasOwn(spec, 'containment')) return undefined;
  const { containment } = spec;
  if (!isRecord(containment)) return 'containment is no object';
  if (!absentOrFalse(containment, 'externalCalls')) return 'a sandbox agent makes no external calls';
  if (!absentOrFalse(containment, 'persistentWrites')) return 'a sandbox agent makes no persistent writes';
  return undefined;
}

function absentOrFalse(containment: Record<string, unknown>, member: string): boolean {
  return !Object.hasOwn(containment, member) || containment[member] === false;
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined; // undefined is no JSON value: it means unreadable
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
