import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

import type { Kubelet } from './kubelet.ts';
import type { Target } from './routes.ts';
import { Refusal } from './store.ts';
import { acceptWebSocket } from './web-socket.ts';

const PROTOCOL = 'v5.channel.k8s.io';
const [STDIN, STDOUT, STDERR, STATUS, CLOSE] = [0, 1, 2, 3, 255];

/** pods/exec: a stream in the first byte of each message, and a status at the end. */
export function serveExec(kubelet: Kubelet, { name, query }: Target, request: IncomingMessage, socket: Duplex): void {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((one) => one.trim());
  if (!offered.includes(PROTOCOL)) throw new Refusal(403, 'Forbidden', `offer ${PROTOCOL}`);
  const input: Buffer[] = [];
  let began = false;
  const web = acceptWebSocket(request, socket, PROTOCOL, {
    onMessage: (message) => {
      if (message[0] === STDIN) input.push(message.subarray(1));
      if (message[0] === CLOSE && message[1] === STDIN && !began) {
        began = true;
        void run();
      }
    },
    // What runs goes on: that is how it is.
    onClose: () => undefined,
  });

  async function run(): Promise<void> {
    const stdin = Buffer.concat(input).toString();
    try {
      const end = await kubelet.exec(name, query.getAll('command'), stdin, (stream, chunk) => {
        web.send(Buffer.concat([Buffer.of(stream === 'stdout' ? STDOUT : STDERR), chunk]));
      });
      web.send(Buffer.concat([Buffer.of(STATUS), Buffer.from(JSON.stringify(statusOf(end)))]));
    } catch (error) {
      const failure = { status: 'Failure', message: String(error), reason: 'InternalError', code: 500 };
      web.send(Buffer.concat([Buffer.of(STATUS), Buffer.from(JSON.stringify(failure))]));
    }
    web.close();
  }
}

function statusOf(end: { readonly exitCode: number } | { readonly problem: string }): object {
  if ('problem' in end) {
    return { metadata: {}, status: 'Failure', message: end.problem, reason: 'InternalError', code: 500 };
  }
  if (end.exitCode === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: error executing command, exit code ${end.exitCode}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(end.exitCode) }] },
  };
}
