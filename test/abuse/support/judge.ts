import { expectedAccess, isTheirs } from './access.ts';
import type { Answer } from './client.ts';
import { changesState, type Operation } from './document.ts';
import { codeOf, complaints } from './oracle.ts';
import type { Plan } from './plans.ts';
import type { Known } from './subjects.ts';
import type { Seen } from './watch.ts';

/** Answers before anybody is asked who calls: the request has two readings, or is too large to be one. */
const UNREADABLE = new Set(['MALFORMED_REQUEST', 'URI_TOO_LONG', 'HEADERS_TOO_LARGE', 'RATE_LIMITED']);
/** Of a request that is refused before, or because, its workspace is not found. */
const UNREAD = new Set([400, 404, 413, 415]);
/** What a denial leaves: its event, its row in the ledger, the promotion that failed or has lapsed, and its key for a repetition. */
const DENIAL = /\.denied$|\.rejected$|^promotion\.lapsed$/;
const LEDGERS = new Set(['decisions', 'promotions', 'idempotency_keys']);
const REFUSED_CODE = { 403: 'PERMISSION_DENIED', 404: 'NOT_FOUND' };

/** Everything wrong with an answer and with what the request left behind. */
export function judged(operation: Operation, plan: Plan, answer: Answer, seen: Seen, known: Known): string[] {
  return [
    ...complaints(operation, answer),
    ...accessComplaints(operation, plan, answer, known),
    ...foreignTraces(plan, seen),
    ...(plan.refused && answer.status < 400 ? ['taken, and is not to be'] : []),
    ...(answer.status >= 400 ? errorTraces(operation, seen) : successTraces(operation, seen)),
  ];
}

function accessComplaints(operation: Operation, plan: Plan, answer: Answer, known: Known): string[] {
  const code = codeOf(answer);
  if (UNREADABLE.has(code)) return [];
  // A certificate does not make a token good that came with it.
  if (code === 'UNAUTHENTICATED' && plan.headers['authorization'] !== undefined) return [];
  const expected = expectedAccess(operation, plan, known);
  if (expected === 'in' && code === 'PERMISSION_DENIED' && !isOwnRequest(operation, plan, known)) {
    return [`${plan.who} may do this`];
  }
  if (expected === 'in' || expected === 'own') return [];
  if (expected === 'hidden') {
    return UNREAD.has(answer.status) ? [] : [`nothing is there for ${plan.who}, not answered ${answer.status} ${code}`];
  }
  if (answer.status === expected && code === REFUSED_CODE[expected]) return [];
  return [`${plan.who} must be refused with ${expected}, not answered ${answer.status} ${code}`];
}

/** Nobody decides what they asked for themselves, whatever their role. */
function isOwnRequest({ permission }: Operation, { who, params }: Plan, known: Known): boolean {
  return permission === 'promotion.decide' && known.promoterOf(params['promotionId'] ?? '') === who;
}

/** Nobody leaves anything in a workspace that is not theirs, but for the denial. */
function foreignTraces({ who }: Plan, { events }: Seen): string[] {
  return events
    .filter(({ type, chain }) => type !== 'access.denied' && chain !== '_system' && !isTheirs(who, chain))
    .map(({ type, chain }) => `${who} left ${type} in ${chain}`);
}

function errorTraces({ events: declared }: Operation, { changed, events }: Seen): string[] {
  const denials = new Set(['access.denied', ...declared.filter((type) => DENIAL.test(type))]);
  const strange = events.filter(({ type }) => !denials.has(type)).map(({ type }) => `an error left ${type}`);
  const tables = changed.filter((table) => !LEDGERS.has(table) || !events.some(({ type }) => type !== 'access.denied'));
  return [...strange, ...tables.map((table) => `an error changed ${table}`)];
}

function successTraces(operation: Operation, { changed, events }: Seen): string[] {
  // Refusals of earlier requests are counted and written when their minute is over.
  const own = events.filter(({ type }) => type !== 'access.denied');
  const strange = own.filter(({ type }) => !operation.events.includes(type)).map(({ type }) => `undeclared ${type}`);
  if (changesState(operation)) return strange;
  return [...strange, ...changed.map((table) => `a question changed ${table}`)];
}
