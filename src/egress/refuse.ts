import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

/** So long what a refused client still sends is read and thrown away: a close over unread bytes would take the answer along. */
const LINGER_MS = 1000;

/** The last that is written to a client: a status and, as its body, a code. */
export function refuse(client: Duplex, status: number, code: string, header?: string): void {
  if (client.destroyed || !client.writable) return void client.destroy();
  const body = `${code}\n`;
  const head = [
    `HTTP/1.1 ${status} Refused`,
    'content-type: text/plain',
    `content-length: ${body.length}`,
    'connection: close',
  ];
  if (header !== undefined) head.push(header);
  client.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  const timer = setTimeout(() => client.destroy(), LINGER_MS).unref();
  client.once('end', () => client.destroy());
  client.once('close', () => clearTimeout(timer));
  client.resume();
}

/** The same as the answer to a request whose body was not read. */
export function refuseRequest(request: IncomingMessage, status: number, code: string, header?: string): void {
  request.resume();
  refuse(request.socket, status, code, header);
}
