import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, request } from 'undici';

import type { EventReceipt } from '../../../src/audit/event.ts';
import type { Outcome } from './history.ts';

/** ms; above the handler's 10 s: whoever waits longer has been forgotten. */
const ANSWER_WITHIN_MS = 12_000;
const CONNECTIONS = 8;

/** What the answers are searched for. */
export interface Watch {
  readonly marks: readonly { readonly workspaceId: string; readonly value: string }[];
  readonly secrets: readonly { readonly name: string; readonly value: string }[];
}

export interface Sent {
  readonly who: string;
  readonly workspaceId: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: object | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

export interface FaultClient {
  send(api: string, call: Sent): Promise<Outcome>;
  close(): Promise<void>;
}

/** Real calls over mutual TLS on kept connections; what goes wrong on the way is an unknown outcome, never an exception. */
export function faultClient(certsDir: string, watch: Watch): FaultClient {
  const agents = new Map<string, Agent>();
  const pem = (name: string) => readFileSync(join(certsDir, name));

  function agentOf(who: string): Agent {
    const known = agents.get(who);
    if (known !== undefined) return known;
    const connect = { ca: pem('ca.crt'), cert: pem(`${who}.crt`), key: pem(`${who}.key`), timeout: 5000 };
    const made = new Agent({
      connect,
      connections: CONNECTIONS,
      // One request at a time on a connection, so that a cut concerns exactly one.
      pipelining: 1,
      headersTimeout: ANSWER_WITHIN_MS,
      bodyTimeout: ANSWER_WITHIN_MS,
    });
    agents.set(who, made);
    return made;
  }

  async function send(api: string, { who, workspaceId, method, path, body, headers }: Sent): Promise<Outcome> {
    try {
      const answer = await request(new URL(path, api), {
        method,
        dispatcher: agentOf(who),
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.body.text();
      return read(answer.statusCode, answer.headers, text, leaks(text, workspaceId, watch));
    } catch (error) {
      return { kind: 'unknown', reason: error instanceof Error ? `${error.name}: ${error.message}` : 'unknown' };
    }
  }

  return {
    send,
    close: async () => {
      await Promise.all([...agents.values()].map((agent) => agent.destroy()));
    },
  };
}

function leaks(text: string, workspaceId: string, watch: Watch): string[] {
  const foreign = watch.marks.filter((mark) => mark.workspaceId !== workspaceId && text.includes(mark.value));
  const secret = watch.secrets.filter(({ value }) => text.includes(value));
  return [...foreign.map((mark) => `mark of ${mark.workspaceId}`), ...secret.map(({ name }) => `secret ${name}`)];
}

function read(
  status: number,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  text: string,
  found: readonly string[],
): Outcome {
  const body = parsed(text);
  const of = (member: string) => textIn(body, member);
  const admission = recordIn(body, 'admission');
  const agent = recordIn(body, 'governedAgent');
  return {
    kind: 'answered',
    status,
    code: of('code'),
    success: body['success'] === true,
    alreadyRunning: body['alreadyRunning'] === true,
    agentId: of('agentId') ?? of('id') ?? textIn(agent, 'id'),
    decisionId: of('decisionId'),
    promotionId: of('promotionId'),
    receipt: receiptIn(body),
    policyHash: of('newHash') ?? of('hash') ?? textIn(admission, 'policyHash'),
    previousPolicyHash: of('oldHash'),
    revision: typeof body['revision'] === 'number' ? body['revision'] : undefined,
    replayed: headers['idempotent-replayed'] === 'true',
    retryAfter: headers['retry-after'] !== undefined,
    leaks: found,
  };
}

function receiptIn(body: Record<string, unknown>): EventReceipt | undefined {
  const receipt = recordIn(body, 'auditEvent');
  const [chain, seq, hash] = [textIn(receipt, 'chain'), receipt['seq'], textIn(receipt, 'hash')];
  return chain !== undefined && typeof seq === 'number' && hash !== undefined ? { chain, seq, hash } : undefined;
}

function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function recordIn(value: Record<string, unknown>, member: string): Record<string, unknown> {
  const inner = value[member];
  return isRecord(inner) ? inner : {};
}

function textIn(value: Record<string, unknown>, member: string): string | undefined {
  const inner = value[member];
  return typeof inner === 'string' ? inner : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
