import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:tls';

import type { Tap } from '../../support/postgres.ts';
import { until } from '../../support/process.ts';
import type { TestService } from '../../support/service.ts';

const READ = 'GET /v1/workspaces/demo/agents HTTP/1.1\r\nHost: localhost\r\n\r\n';
/** Past the checks of who calls, and waiting for the rest of its body. */
const HALF =
  'POST /v1/workspaces/demo/agents HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{';

export interface LiveConnection {
  /** The status of its answer; 0 when the connection ends without one. */
  ask(): Promise<number>;
  /** Begins a request, and does not end it. */
  begin(): void;
  isClosed(): boolean;
}

/** A connection as one of the development identities, which stays open. */
export async function openConnection(t: Tap, world: TestService, who: string): Promise<LiveConnection> {
  const pem = (name: string) => readFile(join(world.certsDir, name), 'utf8');
  const port = Number(new URL(world.service.apiUrl).port);
  const [ca, cert, key] = await Promise.all([pem('ca.crt'), pem(`${who}.crt`), pem(`${who}.key`)]);
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca, cert, key });
  t.teardown(() => socket.destroy());
  await once(socket, 'secureConnect');
  let [text, closed] = ['', false];
  socket.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  socket
    .on('error', () => undefined)
    .once('close', () => {
      closed = true;
    });
  return {
    ask: async () => {
      text = '';
      socket.write(READ);
      await until('an answer', async () => /\r\n\r\n/.test(text) || closed);
      return Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);
    },
    begin: () => {
      socket.write(HALF);
    },
    isClosed: () => closed,
  };
}
