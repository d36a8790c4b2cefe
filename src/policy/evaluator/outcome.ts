import { canonicalJson } from '../../crypto/canonical-json.ts';
import type { PolicyDenial, PolicyOutcome } from './engine.ts';

/** Bytes of one answer; a policy that says more is broken or hostile. */
export const MAX_RESULT_BYTES = 1_048_576;
const CODE = /^[A-Z][A-Z0-9_]{0,63}$/;
const MAX_REASON = 2000;

/** What a package's document says, checked and in canonical order. Throws for anything that is not an answer. */
export function readOutcome(resultText: string): PolicyOutcome {
  const results: unknown = JSON.parse(resultText);
  const first: unknown = Array.isArray(results) ? results[0] : undefined;
  const document = isObject(first) ? first['result'] : undefined;
  if (!isObject(document)) throw new TypeError('the result is undefined or not an object');
  const { deny, require_approval: requireApproval, obligations } = document;
  if (!Array.isArray(deny)) throw new TypeError('deny is not a set');
  return {
    deny: canonicalSet(deny).filter(assertDenial),
    requireApproval: canonicalSet(optionalList(requireApproval, 'require_approval')),
    obligations: canonicalSet(optionalList(obligations, 'obligations')),
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function optionalList(value: unknown, name: string): readonly unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new TypeError(`${name} is not a set`);
  return value;
}

/** Throws rather than filters: a denial that cannot be read must not disappear. */
function assertDenial(value: unknown): value is PolicyDenial {
  if (!isObject(value)) throw new TypeError('an entry of deny is not an object');
  const { code, reason } = value;
  if (typeof code !== 'string' || !CODE.test(code)) throw new TypeError('an entry of deny has no valid code');
  if (typeof reason !== 'string' || reason.length > MAX_REASON)
    throw new TypeError('an entry of deny has no reason, or too long a one');
  return true;
}

// Sets leave the wasm in hash order: sorted, so that the same answer always has the same bytes.
function canonicalSet(items: readonly unknown[]): unknown[] {
  const byText = new Map(items.map((item) => [canonicalJson(item), item]));
  return [...byText].sort(([a], [b]) => (a < b ? -1 : Number(a > b))).map(([, item]) => item);
}
