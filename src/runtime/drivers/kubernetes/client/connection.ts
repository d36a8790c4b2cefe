import { Agent } from 'undici';

import type { Clock } from '../../../../clock.ts';
import type { Access, Credentials } from './access.ts';

/** ms between two looks at the files; kubelets replace a token well before it ends. */
const REREAD_MS = 30_000;
const CONNECT_MS = 5000;
/** ms without a byte of a watch or a log that is followed; bookmarks come every minute. */
const SILENCE_MS = 330_000;
/** Bytes of one message of an exec; kubelets send at most 32 KiB. */
const MAX_MESSAGE = 4_194_304;

export interface Connection {
  readonly origin: string;
  readonly dispatcher: Agent;
  readonly authorization: string | undefined;
}

/** What requests go out over, with the credentials as they are in the files. */
export interface Connections {
  /** `refused`: the server did not take those that were current. */
  current(refused?: boolean): Promise<Connection>;
  close(): Promise<void>;
}

export function createConnections(access: Access, clock: Clock): Connections {
  let known: { readonly at: number; readonly credentials: Credentials; readonly agent: Agent } | undefined;
  let reading: Promise<Connection> | undefined;
  const agents = new Set<Agent>();

  async function read(): Promise<Connection> {
    const credentials = await access();
    const agent = known !== undefined && sameTls(known.credentials, credentials) ? known.agent : newAgent(credentials);
    if (known !== undefined && known.agent !== agent) retire(known.agent);
    agents.add(agent);
    known = { at: clock(), credentials, agent };
    return connectionOf(known);
  }

  /** What is under way on it goes on. */
  function retire(agent: Agent): void {
    agent.close().then(
      () => agents.delete(agent),
      () => agents.delete(agent),
    );
  }

  return {
    current: async (refused = false) => {
      if (!refused && known !== undefined && clock() - known.at < REREAD_MS) return connectionOf(known);
      reading ??= read().finally(() => {
        reading = undefined;
      });
      return reading;
    },
    close: async () => {
      await Promise.all([...agents].map((agent) => agent.destroy()));
    },
  };
}

function connectionOf({ credentials, agent }: { credentials: Credentials; agent: Agent }): Connection {
  const { origin, token } = credentials;
  return { origin, dispatcher: agent, authorization: token === undefined ? undefined : `Bearer ${token}` };
}

function newAgent({ ca, cert, key }: Credentials): Agent {
  return new Agent({
    allowH2: false,
    connections: 64,
    headersTimeout: SILENCE_MS,
    bodyTimeout: SILENCE_MS,
    webSocket: { maxPayloadSize: MAX_MESSAGE },
    connect: {
      timeout: CONNECT_MS,
      // Said outright: left out, NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment would decide.
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    },
  });
}

function sameTls(a: Credentials, b: Credentials): boolean {
  return a.origin === b.origin && a.ca === b.ca && a.cert === b.cert && a.key === b.key;
}
