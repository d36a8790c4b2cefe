import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { ping, WebSocket } from 'undici';

import type { Stream } from '../../../isolation.ts';
import type { Connection } from './connection.ts';
import { ClusterError } from './errors.ts';

/** Bytes of its first byte: which stream a message belongs to. */
const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, status: 3, close: 255 } as const;
/** Separate streams, the exit code, and since version 5 an end of stdin that can be told. */
const PROTOCOL = 'v5.channel.k8s.io';
const OPEN_MS = 15_000;
/** Balancers end connections on which nothing is said, often after a minute. */
const PING_MS = 20_000;

const ExecStatus = Type.Object({
  status: Type.String(),
  reason: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
  details: Type.Optional(
    Type.Object({
      causes: Type.Optional(
        Type.Array(Type.Object({ reason: Type.Optional(Type.String()), message: Type.Optional(Type.String()) })),
      ),
    }),
  ),
});

export interface ExecRequest {
  /** …/pods/{name}/exec */
  readonly path: string;
  /** From `execQuery`. */
  readonly query: URLSearchParams;
  readonly stdin: string;
  /** Takes output as it comes. */
  readonly onOutput: (stream: Stream, chunk: Buffer) => void;
}

/** `lost`: the connection ended before it was said how the command did. */
export type ExecEnd =
  | { readonly kind: 'exited'; readonly exitCode: number }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'lost'; readonly message: string };

/** A command that was started. */
export interface Exec {
  /** Never rejects. */
  readonly ended: Promise<ExecEnd>;
  /** Hears nothing more of it; the command itself goes on. */
  leave(): void;
}

/** The command is in the query: what is secret belongs into stdin, which no log of an API server holds. */
export function execQuery(container: string, command: readonly string[]): URLSearchParams {
  const query = new URLSearchParams({ container, stdin: 'true', stdout: 'true', stderr: 'true', tty: 'false' });
  for (const argument of command) query.append('command', argument);
  return query;
}

/** Resolves once the command is started, as far as an API server says so. */
export async function openExec(connection: Connection, request: ExecRequest): Promise<Exec> {
  const url = new URL(`${request.path}?${request.query}`, connection.origin.replace(/^https:/, 'wss:'));
  const socket = new WebSocket(url, {
    protocols: [PROTOCOL],
    dispatcher: connection.dispatcher,
    headers: {
      'user-agent': 'castellan',
      ...(connection.authorization === undefined ? {} : { authorization: connection.authorization }),
    },
  });
  socket.binaryType = 'arraybuffer';
  const ended = listen(socket, request.onOutput);
  await opened(socket);
  sendInput(socket, request.stdin);
  return { ended, leave: () => socket.close() };
}

function opened(socket: WebSocket): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const late = setTimeout(() => {
    socket.close();
    reject(new ClusterError('NO_ANSWER', 'exec: the API server does not answer'));
  }, OPEN_MS);
  socket.addEventListener('open', () => {
    if (socket.protocol === PROTOCOL) return resolve();
    socket.close();
    reject(new ClusterError('NO_ANSWER', `exec: the API server does not speak ${PROTOCOL}`));
  });
  socket.addEventListener('error', ({ error }) => {
    reject(new ClusterError('NO_ANSWER', 'exec: the API server refused the connection', { cause: error }));
  });
  return promise.finally(() => clearTimeout(late));
}

/** Messages of a bounded size, and the end of stdin. */
function sendInput(socket: WebSocket, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += 32_768) {
    socket.send(Buffer.concat([Buffer.of(CHANNEL.stdin), bytes.subarray(at, at + 32_768)]));
  }
  socket.send(Buffer.of(CHANNEL.close, CHANNEL.stdin));
}

function listen(socket: WebSocket, onOutput: ExecRequest['onOutput']): Promise<ExecEnd> {
  const { promise, resolve } = Promise.withResolvers<ExecEnd>();
  const alive = setInterval(() => {
    if (socket.readyState === WebSocket.OPEN) ping(socket);
  }, PING_MS);
  const end = (how: ExecEnd) => {
    clearInterval(alive);
    resolve(how);
    socket.close();
  };
  socket.addEventListener('message', ({ data }) => {
    if (!(data instanceof ArrayBuffer)) return end({ kind: 'lost', message: 'a message that is not binary' });
    const message = Buffer.from(data);
    const content = message.subarray(1);
    if (message[0] === CHANNEL.status) end(endOf(content.toString()));
    else if (content.length > 0 && message[0] === CHANNEL.stdout) onOutput('stdout', content);
    else if (content.length > 0 && message[0] === CHANNEL.stderr) onOutput('stderr', content);
  });
  socket.addEventListener('close', ({ code }) => end({ kind: 'lost', message: `the connection closed (${code})` }));
  return promise;
}

/** kubernetes/pkg/kubelet: Success, or Failure with the code among the causes, or Failure of the runtime itself. */
function endOf(text: string): ExecEnd {
  const status = parsed(text);
  if (status === undefined) return { kind: 'lost', message: 'a status that is none' };
  if (status.status === 'Success') return { kind: 'exited', exitCode: 0 };
  const code = status.details?.causes?.find((cause) => cause.reason === 'ExitCode')?.message ?? '';
  if (status.reason === 'NonZeroExitCode' && /^\d{1,3}$/.test(code)) return { kind: 'exited', exitCode: Number(code) };
  return { kind: 'failed', message: status.message ?? status.reason ?? 'no reason given' };
}

function parsed(text: string): Static<typeof ExecStatus> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Value.Check(ExecStatus, value) ? value : undefined;
  } catch {
    return undefined;
  }
}
