import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { Agent, request } from 'node:https';
import { join } from 'node:path';

/** The development identities, and nobody. Their roles are their names; `outsider` is an operator elsewhere. */
export const CALLERS = [
  'operator',
  'orchestrator',
  'kernel-approver',
  'kernel-admin',
  'auditor',
  'agent',
  'gateway',
  'outsider',
] as const;
export type Caller = (typeof CALLERS)[number];

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface Sent {
  readonly who: Caller;
  readonly method: string;
  /** The request target, as it goes over the wire. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

export interface Client {
  send(sent: Sent): Promise<Answer>;
  close(): void;
}

/** Sends over kept connections, one set per identity: a handshake for each request would be most of a run. */
export function openClient(api: string, certsDir: string): Client {
  const pem = (name: string) => readFileSync(join(certsDir, name));
  const agents = new Map(
    CALLERS.map((who) => [
      who,
      new Agent({ keepAlive: true, ca: pem('ca.crt'), cert: pem(`${who}.crt`), key: pem(`${who}.key`) }),
    ]),
  );
  const { hostname, port } = new URL(api);

  async function send(sent: Sent): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const { who, method, target, body } = sent;
    const length: Record<string, string> = body === undefined ? {} : { 'content-length': String(body.length) };
    const headers = { ...length, ...sent.headers };
    const outgoing = request({ agent: agents.get(who), hostname, port, method, path: target, headers });
    let answered = false;
    outgoing.on('error', (error) => {
      // A refused body is not read to its end; the answer may be there already.
      if (!answered) reject(new Error(`${method} ${target}: ${error.message}`, { cause: error }));
    });
    outgoing.on('response', (response) => {
      answered = true;
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
      });
    });
    outgoing.end(body);
    return promise;
  }

  return {
    send,
    close: () => {
      for (const agent of agents.values()) agent.destroy();
    },
  };
}
