import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

/** RFC 6455 §1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const OPCODE = { continuation: 0, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface ServerSocket {
  send(payload: Buffer): void;
  close(): void;
}

/** The server's half of RFC 6455, as much as binary messages need; `onMessage` gets whole ones. */
export function acceptWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  protocol: string,
  handlers: { onMessage: (payload: Buffer) => void; onClose: () => void },
): ServerSocket {
  const key = request.headers['sec-websocket-key'] ?? '';
  const accept = createHash('sha1').update(`${key}${GUID}`).digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n` +
      `Sec-WebSocket-Protocol: ${protocol}\r\n\r\n`,
  );
  let rest: Buffer = Buffer.alloc(0);
  let parts: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    for (let frame = readFrame(rest); frame !== undefined; frame = readFrame(rest)) {
      rest = rest.subarray(frame.size);
      take(frame);
    }
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', handlers.onClose);

  function take({ opcode, isLast, payload }: Frame): void {
    if (opcode === OPCODE.ping) write(OPCODE.pong, payload);
    else if (opcode === OPCODE.close) close();
    else if (opcode === OPCODE.binary || opcode === OPCODE.continuation) {
      parts.push(payload);
      if (!isLast) return;
      handlers.onMessage(Buffer.concat(parts));
      parts = [];
    }
  }

  function write(opcode: number, payload: Buffer): void {
    if (!socket.writable) return;
    socket.write(Buffer.concat([headOf(opcode, payload.length), payload]));
  }

  function close(): void {
    write(OPCODE.close, Buffer.from([0x03, 0xe8]));
    socket.end();
  }

  return { send: (payload) => write(OPCODE.binary, payload), close };
}

interface Frame {
  readonly opcode: number;
  readonly isLast: boolean;
  readonly payload: Buffer;
  readonly size: number;
}

/** The first frame of what has come; undefined while it is not whole. A client's frames are masked. */
function readFrame(bytes: Buffer): Frame | undefined {
  const [first, second] = bytes;
  if (first === undefined || second === undefined) return undefined;
  if ((second & 0x80) === 0) throw new TypeError('a frame of a client without a mask');
  const short = second & 0x7f;
  const at = short === 126 ? 4 : short === 127 ? 10 : 2;
  if (bytes.length < at + 4) return undefined;
  const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  const size = at + 4 + length;
  if (bytes.length < size) return undefined;
  const mask = bytes.subarray(at, at + 4);
  const payload = Buffer.from(bytes.subarray(at + 4, size).map((byte, index) => byte ^ (mask[index % 4] ?? 0)));
  return { opcode: first & 0x0f, isLast: (first & 0x80) !== 0, payload, size };
}

function headOf(opcode: number, length: number): Buffer {
  if (length < 126) return Buffer.of(0x80 | opcode, length);
  const head = Buffer.alloc(length < 65_536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  head[1] = length < 65_536 ? 126 : 127;
  if (length < 65_536) head.writeUInt16BE(length, 2);
  else head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}
