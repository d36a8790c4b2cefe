import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface Target {
  readonly host: string;
  readonly port: number;
  /** None: plain HTTP. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
}

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

const HEAD_END = Buffer.from('\r\n\r\n');

/**
 * One keep-alive HTTP/1.1 connection, one request at a time. Does no more than a measurement needs: client and server
 * share the machine, and what the client costs is part of every figure.
 */
export class HttpConnection {
  readonly #target: Target;
  #socket: Socket | undefined;
  #received: Buffer = Buffer.alloc(0);
  #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined;

  constructor(target: Target) {
    this.#target = target;
  }

  /** Resolves after the handshake. */
  async open(): Promise<void> {
    const socket = await openSocket(this.#target);
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', (error) => this.#lost(socket, error));
    socket.on('close', () => this.#lost(socket, new Error('the server closed the connection')));
    this.#received = Buffer.alloc(0);
    this.#socket = socket;
  }

  /** Sends the bytes of one whole request. Opens the connection again when the server said that it would close it. */
  async send(request: Buffer): Promise<Answer> {
    if (this.#socket === undefined) await this.open();
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket?.write(request);
    });
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const end = this.#received.indexOf(HEAD_END);
    if (end === -1) return;
    const head = this.#received.toString('latin1', 0, end);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined) {
      this.#fail(new Error(`an answer without a length: ${head}`));
      return;
    }
    const bodyEnd = end + HEAD_END.length + Number(length);
    if (this.#received.length < bodyEnd) return;
    const body = this.#received.subarray(end + HEAD_END.length, bodyEnd);
    this.#received = this.#received.subarray(bodyEnd);
    if (/\r\nconnection: *close/i.test(head)) this.close();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve({ status: Number(head.slice(9, 12)), body });
  }

  #lost(socket: Socket, error: Error): void {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    this.#fail(error);
  }

  #fail(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(error);
  }
}

/** The bytes of a request; `body` is sent as JSON. */
export function requestBytes(target: Target, method: string, path: string, body?: unknown): Buffer {
  const text = body === undefined ? '' : JSON.stringify(body);
  const head = [`${method} ${path} HTTP/1.1`, `Host: ${target.host}:${target.port}`];
  if (body !== undefined) head.push('Content-Type: application/json', `Content-Length: ${Buffer.byteLength(text)}`);
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${text}`);
}

function openSocket({ host, port, tls }: Target): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket =
      tls === undefined
        ? connect({ host, port }, () => opened())
        : connectTls({ host, port, ...tls, servername: '' }, () => opened());
    socket.once('error', reject);
    function opened(): void {
      socket.off('error', reject);
      resolve(socket);
    }
  });
}
