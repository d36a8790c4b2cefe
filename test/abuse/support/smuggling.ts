/** Bytes on a connection, and what must come back. */
export interface RawCase {
  readonly why: string;
  readonly bytes: Buffer;
  /** The statuses of all answers, in order. */
  readonly answers: readonly number[];
  /** Whether the connection is open for the next request afterwards. */
  readonly stays: boolean;
}

const PATH = '/v1/workspaces/demo/agents';
const LIST = `GET ${PATH} HTTP/1.1\r\nHost: a\r\n\r\n`;
const OPEN = `POST ${PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n`;
/** Creates an agent, if anybody reads it as a request. */
export const SMUGGLED_NAME = 'smuggled';
const CREATE = created(SMUGGLED_NAME);
const BODY = '{"spec":{"name":"honest"}}';
const CHUNKED = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;
const TE = 'Transfer-Encoding: chunked\r\n';

/** One answer, and nothing of what follows is read. */
function refused(why: string, text: string, status = 400): RawCase {
  return { why, bytes: latin1(text), answers: [status], stays: false };
}

function answered(why: string, text: string, answers: readonly number[], stays = true): RawCase {
  return { why, bytes: latin1(text), answers, stays };
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

function created(name: string, lines = ''): string {
  const body = JSON.stringify({ spec: { name } });
  return `${OPEN}${lines}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/** A chunked request whose framing line is something else, with a second request where another reader would see one. */
function framedBy(line: string): string {
  return `${OPEN}${line}\r\n\r\n${CHUNKED}${CREATE}`;
}

const framing: readonly RawCase[] = [
  refused(
    'length and chunks: the second request is in the body of the one reading',
    `${OPEN}Content-Length: ${CHUNKED.length + CREATE.length}\r\n${TE}\r\n${CHUNKED}${CREATE}`,
  ),
  refused(
    'chunks and length: the second request is behind the one reading',
    `${OPEN}${TE}Content-Length: 4\r\n\r\n${CREATE.length.toString(16)}\r\n${CREATE}\r\n0\r\n\r\n`,
  ),
  ...[
    'Transfer-Encoding: chunked, identity',
    'Transfer-Encoding: identity, chunked',
    'Transfer-Encoding: chunked, chunked',
    'Transfer-Encoding: chunked;q=1',
    'Transfer-Encoding: "chunked"',
    'Transfer-Encoding: \x0bchunked',
    'Transfer-Encoding: chunked\x00',
    'Transfer-Encoding: ',
    'Transfer-Encoding: gzip, chunked',
    'Transfer-Encoding\t: chunked',
    'Transfer-Encoding:\r\n chunked',
    'Transfer-Encoding: chunked\r\n , identity',
    'X: a\nTransfer-Encoding: chunked',
    'X: a\rTransfer-Encoding: chunked',
    ' Transfer-Encoding: chunked',
    'Transfer-Encoding: chunk\u00ead',
    'Content-Length: 0x1a',
    'Content-Length: 26, 26',
    'Content-Length: 26 26',
    'Content-Length: -26',
    'Content-Length: 2e1',
    'Content-Length: 26.0',
    'Content-Length: ',
    'Content-Length: 99999999999999999999',
    'Content-Length: 18446744073709551642',
    'Content-Length: 26\r\nContent-Length: 26',
    'Content-Length: 26\r\ncontent-length: 0',
    'Content-Length\x00: 26',
    'Content-Length: 26\x00',
  ].map((line) => refused(JSON.stringify(line), framedBy(line))),
];

const chunks: readonly RawCase[] = [
  ...['FFFFFFFFFFFFFFFFF', '0x1a', '-1', '+1a', '1a 1', ' 1a', '', 'g', '1a\x00', '1_a'].map((size) =>
    refused(`chunk size ${JSON.stringify(size)}`, `${OPEN}${TE}\r\n${size}\r\n${BODY}\r\n0\r\n\r\n${CREATE}`),
  ),
  refused('a chunk size ended by a bare line feed', `${OPEN}${TE}\r\n1a\n${BODY}\r\n0\r\n\r\n${CREATE}`),
  refused('a chunk that is longer than it says', `${OPEN}${TE}\r\n19\r\n${BODY}\r\n0\r\n\r\n${CREATE}`),
  refused('chunk data ended by a bare line feed', `${OPEN}${TE}\r\n1a\r\n${BODY}\n0\r\n\r\n${CREATE}`),
  refused('a bare line feed in a chunk extension', `${OPEN}${TE}\r\n1a;a\nb\r\n${BODY}\r\n0\r\n\r\n${CREATE}`),
  refused('chunk extensions without end', `${OPEN}${TE}\r\n1a;${'a'.repeat(20_000)}\r\n${BODY}\r\n0\r\n\r\n`),
  refused(
    'trailers without end',
    `${OPEN}${TE}\r\n1a\r\n${BODY}\r\n0\r\n${'X-A: b\r\n'.repeat(40_000)}\r\n${CREATE}`,
    431,
  ),
  answered('a chunk extension', `${OPEN}${TE}\r\n1a;a=b\r\n${BODY}\r\n0\r\n\r\n${LIST}`, [201, 200]),
  answered(
    'a length in the trailer',
    `${OPEN}${TE}\r\n1a\r\n${BODY}\r\n0\r\nContent-Length: 9\r\nHost: b\r\n\r\n${LIST}`,
    [400],
    false,
  ),
  answered('a huge chunk that is announced', `${OPEN}${TE}\r\nFFFFFFFF\r\n${BODY}`, [], true),
];

const lines: readonly RawCase[] = [
  refused('a NUL in a value', `GET ${PATH} HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n`),
  refused('a NUL in a name', `GET ${PATH} HTTP/1.1\r\nHost: a\r\nX\x00: a\r\n\r\n`),
  refused('a bare carriage return in a value', `GET ${PATH} HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n`),
  refused('a bare line feed in the headers', `GET ${PATH} HTTP/1.1\r\nHost: a\nX: a\r\n\r\n`),
  refused('no colon', `GET ${PATH} HTTP/1.1\r\nHost: a\r\nX\r\n\r\n`),
  refused('no name', `GET ${PATH} HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n`),
  refused('a first header that is folded', `GET ${PATH} HTTP/1.1\r\n Host: a\r\n\r\n`),
  refused('two hosts, one in other letters', `GET ${PATH} HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n${LIST}`),
  refused('absolute form with a host of its own', `GET https://b${PATH} HTTP/1.1\r\nHost: a\r\n\r\n${LIST}`),
  refused('absolute form of another scheme', `GET file://${PATH} HTTP/1.1\r\nHost: a\r\n\r\n`),
  refused('authority form', 'GET a:443 HTTP/1.1\r\nHost: a\r\n\r\n'),
  // RFC 9112 §3 lets a reader take any white space; Node takes blanks, and they mean nothing else.
  answered('two blanks', `GET  ${PATH} HTTP/1.1\r\nHost: a\r\n\r\n`, [200]),
  refused('a tab', `GET\t${PATH} HTTP/1.1\r\nHost: a\r\n\r\n`),
  refused('words behind the version', `GET ${PATH} HTTP/1.1 x\r\nHost: a\r\n\r\n`),
  refused('a small method', `get ${PATH} HTTP/1.1\r\nHost: a\r\n\r\n`),
  refused('an unknown method', `SPAWN ${PATH} HTTP/1.1\r\nHost: a\r\n\r\n`),
  refused('HTTP/0.9', `GET ${PATH}\r\n\r\n`),
  refused('HTTP/1.2', `GET ${PATH} HTTP/1.2\r\nHost: a\r\n\r\n`),
  refused('HTTP/2.0', `GET ${PATH} HTTP/2.0\r\nHost: a\r\n\r\n`),
  refused('a small version', `GET ${PATH} http/1.1\r\nHost: a\r\n\r\n`),
  refused('HTTP/1.0 without a host', `GET ${PATH} HTTP/1.0\r\n\r\n`),
  answered('HTTP/1.0', `GET ${PATH} HTTP/1.0\r\nHost: a\r\n\r\n${LIST}`, [200], false),
  refused(
    'HTTP/1.0 in chunks',
    `POST ${PATH} HTTP/1.0\r\nHost: a\r\nContent-Type: application/json\r\n${TE}\r\n${CHUNKED}${CREATE}`,
  ),
  refused(
    'the preface of HTTP/2 and its settings',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00',
  ),
  refused('TLS inside TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
  refused('garbage', '\x80\x00\xff\xfe'.repeat(100)),
  refused('SSH', 'SSH-2.0-x\r\n'),
  refused('SMTP', 'EHLO a\r\nMAIL FROM:<a@b>\r\n'),
  refused('a proxy protocol line', `PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n${LIST}`),
];

const sequences: readonly RawCase[] = [
  answered('one after the other', `${LIST}${LIST}${LIST}`, [200, 200, 200]),
  answered('blank lines before', `\r\n\r\n${LIST}`, [200]),
  answered('a bad second', `${LIST}GET ${PATH} HTTP/1.1\r\nHost : a\r\n\r\n${CREATE}`, [200, 400], false),
  answered('a refused second', `${LIST}GET ${PATH}/../x HTTP/1.1\r\nHost: a\r\n\r\n${CREATE}`, [200, 400], false),
  answered('garbage behind', `${LIST}\x00\x01\x02`, [200, 400], false),
  answered('a body that nobody announced', `${LIST}${BODY}`, [200, 400], false),
  refused('a bad first', `GET ${PATH} HTTP/1.1\r\nHost : a\r\n\r\n${CREATE}`),
  refused('a refused first', `GET /v1//x HTTP/1.1\r\nHost: a\r\n\r\n${CREATE}`),
  answered(
    'a request inside a body that is refused unread',
    `POST /v1/signers HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${CREATE.length}\r\n\r\n${CREATE}${LIST}`,
    [403, 200],
  ),
  answered(
    'a request inside a body that nobody reads',
    `GET ${PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: ${CREATE.length}\r\n\r\n${CREATE}${LIST}`,
    [200, 200],
  ),
  answered(
    'a request inside a body of an unknown path',
    `POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: ${CREATE.length}\r\n\r\n${CREATE}${LIST}`,
    [415],
    false,
  ),
  answered(
    'a request inside a body of another type',
    `POST ${PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: ${CREATE.length}\r\n\r\n${CREATE}${LIST}`,
    [415],
    false,
  ),
  answered('an announced body that is too large', `${OPEN}Content-Length: 5000000\r\n\r\n${CREATE}`, [413], false),
  answered(
    'an upgrade to HTTP/2',
    `GET ${PATH} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n${CREATE}`,
    [200],
    false,
  ),
  answered(
    'an upgrade to a web socket',
    `GET ${PATH} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n${CREATE}`,
    [200],
    false,
  ),
  answered('a tunnel', `CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n${LIST}`, [], false),
  answered('an expectation that is met', `${created('expected', 'Expect: 100-continue\r\n')}`, [100, 201]),
  answered(
    'headers named in Connection stay',
    `${created('kept', 'Connection: content-length, content-type\r\n')}${LIST}`,
    [201, 200],
  ),
];

export const CASES: readonly RawCase[] = [...framing, ...chunks, ...lines, ...sequences];
