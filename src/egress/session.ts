import { timestamp } from '../clock.ts';
import type { EgressDecision } from '../runtime/isolation.ts';
import { type Allowlist, createAllowlist } from './allowlist.ts';
import type { EgressCode } from './decide.ts';
import type { FloodLimits } from './flood.ts';
import { createPace, type Pace, type PaceLimits } from './pace.ts';
import type { EgressRules } from './rules.ts';

const GIB = 1024 ** 3;
/** Decisions that are kept; more are counted. */
const MAX_DECISIONS = 1000;

/** What one sandbox may use of the proxy. */
export interface EgressLimits {
  /** At once. */
  readonly connections: number;
  /** Of requests, decided in the service's one thread; those beyond it wait. */
  readonly pace: PaceLimits;
  /** Connections at a unix socket after which it accepts none any more. */
  readonly flood: FloodLimits;
  /** Of one connection, both directions together. */
  readonly connectionBytes: number;
  /** Of all connections together. */
  readonly totalBytes: number;
  /** Until the head of a request is there. */
  readonly headMs: number;
  /** Until the host has been looked up and answers. */
  readonly connectMs: number;
  /** Without a byte in either direction. */
  readonly idleMs: number;
  /** The same, once one side has said that it sends no more. */
  readonly halfOpenMs: number;
}

export const RUN_LIMITS: EgressLimits = {
  connections: 64,
  pace: { burst: 500, perSecond: 100 },
  flood: { most: 20_000, windowMs: 10_000 },
  connectionBytes: 4 * GIB,
  totalBytes: 16 * GIB,
  headMs: 10_000,
  connectMs: 10_000,
  idleMs: 300_000,
  halfOpenMs: 30_000,
};

/** An agent runs for months: only each of its connections has an end. */
export const AGENT_LIMITS: EgressLimits = { ...RUN_LIMITS, totalBytes: Number.POSITIVE_INFINITY };

/** One exchange under way that was allowed. */
export interface OpenDecision {
  /** False: that was too much, end it. */
  count(direction: 'in' | 'out', bytes: number): boolean;
  /** `denied`: it turned out not to be what was allowed. */
  end(code?: EgressCode, verdict?: EgressDecision['verdict']): void;
}

/** One of the exchanges that a sandbox may have under way. */
export interface Place {
  leave(): void;
}

/** What the proxy knows of one sandbox. */
export interface EgressSession {
  readonly allows: Allowlist;
  readonly rules: EgressRules;
  readonly limits: EgressLimits;
  /** Of each request, before anything is done about it. */
  readonly nextTurn: Pace;
  /** In the order they were made. */
  readonly decisions: readonly EgressDecision[];
  readonly omittedDecisions: number;
  /** A place for one exchange, ended with `end` when the session closes; undefined when there is none. */
  enter(end: () => void): Place | undefined;
  deny(host: string, port: number, code: EgressCode): void;
  allow(host: string, port: number): OpenDecision;
  /** Ends every exchange, and resolves when they have; none begins any more. */
  close(): Promise<void>;
}

export interface SessionOptions {
  readonly allowDomains: readonly string[];
  readonly rules: EgressRules;
  readonly limits?: Partial<EgressLimits>;
  /** Hears each decision once, when its connection has ended. */
  readonly onDecision?: (decision: EgressDecision) => void;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export function createSession({ allowDomains, rules, limits, onDecision }: SessionOptions): EgressSession {
  const all: EgressLimits = { ...RUN_LIMITS, ...limits };
  const decisions: EgressDecision[] = [];
  const under = new Set<() => void>();
  let omitted = 0;
  let bytes = 0;
  let closed = false;
  const empty = Promise.withResolvers<void>();

  const record = (host: string, port: number, verdict: EgressDecision['verdict'], code?: EgressCode) => {
    const at = timestamp(rules.now());
    const decision: Mutable<EgressDecision> = { at, host, port, verdict, bytesOut: 0, bytesIn: 0 };
    if (code !== undefined) decision.code = code;
    if (decisions.length < MAX_DECISIONS) decisions.push(decision);
    else omitted += 1;
    return decision;
  };
  const told = (decision: EgressDecision) => {
    rules.observe.connection(decision.verdict);
    onDecision?.(decision);
  };

  return {
    allows: createAllowlist(allowDomains),
    rules,
    limits: all,
    nextTurn: createPace(all.pace),
    get decisions() {
      return decisions.map((decision) => ({ ...decision }));
    },
    get omittedDecisions() {
      return omitted;
    },
    enter: (end) => {
      if (closed || under.size >= all.connections) return undefined;
      under.add(end);
      return {
        leave: () => {
          under.delete(end);
          if (closed && under.size === 0) empty.resolve();
        },
      };
    },
    deny: (host, port, code) => told(record(host, port, 'denied', code)),
    allow: (host, port) => {
      const decision = record(host, port, 'allowed');
      let open = true;
      return {
        count: (direction, count) => {
          if (direction === 'in') decision.bytesIn += count;
          else decision.bytesOut += count;
          bytes += count;
          rules.observe.bytes(direction, count);
          return decision.bytesIn + decision.bytesOut <= all.connectionBytes && bytes <= all.totalBytes;
        },
        end: (code, verdict) => {
          if (!open) return;
          open = false;
          if (code !== undefined) decision.code = code;
          if (verdict !== undefined) decision.verdict = verdict;
          told(decision);
        },
      };
    },
    close: () => {
      closed = true;
      if (under.size === 0) empty.resolve();
      for (const end of [...under]) end();
      return empty.promise;
    },
  };
}
