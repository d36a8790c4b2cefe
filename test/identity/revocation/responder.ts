import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

type Tap = { teardown(work: () => unknown): void };

const run = promisify(execFile);
/** Whether there is an openssl to be the responder. */
export const OPENSSL = spawnSync('openssl', ['version']).status === 0;

export interface Pair {
  readonly crt: string;
  readonly key: string;
  readonly certificate: X509Certificate;
}

/** An authority of openssl's own, with EC keys, and its list of what it has issued. */
export class OpensslAuthority {
  readonly #dir: string;
  readonly ca: Pair;
  readonly #states = new Map<string, string>();

  /** `given`: one that is there already, with its key. */
  constructor(dir: string, name = 'clients', given?: Omit<Pair, 'certificate'>) {
    this.#dir = join(dir, `ca-${name}`);
    mkdirSync(this.#dir, { recursive: true });
    if (given !== undefined) {
      this.ca = pairOf(given.crt, given.key);
      return;
    }
    const [key, crt] = [join(this.#dir, 'ca.key'), join(this.#dir, 'ca.crt')];
    const options = ['-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-days', '5'];
    openssl(['req', '-x509', ...options, '-subj', `/CN=${name}`, '-keyout', key, '-out', crt]);
    this.ca = pairOf(crt, key);
  }

  /** `extensions` as in a file of openssl; `days` may be negative for one that is over. */
  issue(name: string, extensions: readonly string[] = [], days = 5): Pair {
    const at = (end: string) => join(this.#dir, `${name}.${end}`);
    writeFileSync(at('ext'), `basicConstraints=critical,CA:FALSE\n${extensions.join('\n')}\n`);
    const keyed = ['-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
    openssl(['req', '-new', ...keyed, '-subj', `/CN=${name}`, '-keyout', at('key'), '-out', at('csr')]);
    const by = ['-CA', this.ca.crt, '-CAkey', this.ca.key, '-CAcreateserial', '-days', String(days)];
    openssl(['x509', '-req', '-in', at('csr'), ...by, '-extfile', at('ext'), '-out', at('crt')]);
    const pair = pairOf(at('crt'), at('key'));
    this.set(pair, 'V');
    return pair;
  }

  /** Writes a certificate into the list: V valid, R revoked. */
  set({ certificate }: Pair, state: 'V' | 'R'): void {
    const revoked = state === 'R' ? '261101000000Z' : '';
    this.#states.set(certificate.serialNumber, `${state}\t361231235959Z\t${revoked}`);
    this.#write();
  }

  /** Takes it out of the list. */
  forget({ certificate }: Pair): void {
    this.#states.delete(certificate.serialNumber);
    this.#write();
  }

  #write(): void {
    const lines = [...this.#states].map(([serial, state]) => `${state}\t${serial}\tunknown\t/CN=${serial}\n`);
    writeFileSync(this.indexFile, lines.join(''));
  }

  get indexFile(): string {
    return join(this.#dir, 'index.txt');
  }

  /** What `openssl ocsp` answers to a request, in the name of `signer`. */
  async answer(request: Buffer, signer: Pair = this.ca, options: readonly string[] = ['-nmin', '10']): Promise<Buffer> {
    const [reqin, respout] = [join(this.#dir, 'request.der'), join(this.#dir, 'response.der')];
    writeFileSync(reqin, request);
    const by = ['-CA', this.ca.crt, '-rsigner', signer.crt, '-rkey', signer.key];
    await run('openssl', ['ocsp', '-index', this.indexFile, ...by, '-reqin', reqin, '-respout', respout, ...options]);
    return readFileSync(respout);
  }
}

/** An HTTP server on loopback that answers as `answer` says; its URL, and how often it was asked. */
export async function responder(
  t: Tap,
  answer: (body: Buffer, response: ServerResponse, request: IncomingMessage) => Promise<Buffer | undefined>,
): Promise<{ url: string; asked(): number }> {
  let asked = 0;
  const server = createServer((request, response) => {
    asked += 1;
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', async () => {
      const body = await answer(Buffer.concat(chunks), response, request);
      if (body !== undefined) response.setHeader('content-type', 'application/ocsp-response').end(body);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  // It listens on an address, not on a pipe.
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, asked: () => asked };
}

function pairOf(crt: string, key: string): Pair {
  return { crt, key, certificate: new X509Certificate(readFileSync(crt)) };
}

function openssl(args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' });
}
