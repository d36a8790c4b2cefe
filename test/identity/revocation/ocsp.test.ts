import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect } from 'node:tls';
import t from 'tap';

import { Unauthenticated } from '../../../src/identity/errors.ts';
import { type Ask, createAsk, responderOf } from '../../../src/identity/revocation/ocsp/responder.ts';
import { createStapler } from '../../../src/identity/revocation/ocsp/staple.ts';
import {
  createOcspStatus,
  type OcspStatus,
  type OcspStatusOptions,
} from '../../../src/identity/revocation/ocsp/status.ts';
import { until } from '../../support/process.ts';
import { OPENSSL, OpensslAuthority, responder } from './responder.ts';

const SIGNING = 'extendedKeyUsage=OCSPSigning';
const LIMIT = 2000;

t.test('responders', { skip: OPENSSL ? false : 'there is no openssl' }, async (t) => {
  const dir = t.testdir();
  const authority = new OpensslAuthority(join(dir, 'ours'));
  const stranger = new OpensslAuthority(join(dir, 'theirs'));
  const client = authority.issue('client');
  const another = authority.issue('another');
  const { certificate: issuer } = authority.ca;

  const asking = async (answer: Parameters<typeof responder>[1], limit = LIMIT) => {
    const { url } = await responder(t, answer);
    return createAsk({ url, withNonce: true, clock: Date.now })(client.certificate, issuer, limit);
  };

  t.test('the issuer says so itself, or who it has charged with it', async (t) => {
    const delegate = authority.issue('delegate', [SIGNING]);
    for (const signer of [authority.ca, delegate]) {
      authority.set(client, 'V');
      const good = await asking((body) => authority.answer(body, signer));
      t.equal(good.status, 'good');
      t.ok(good.until > Date.now() + 500_000 && good.until <= Date.now() + 600_000);
      authority.set(client, 'R');
      t.match(await asking((body) => authority.answer(body, signer)), { status: 'revoked' });
    }
    authority.set(client, 'V');
    t.match(await asking((body) => authority.answer(body, authority.ca, ['-nmin', '10', '-resp_key_id'])), {
      status: 'good',
    });
  });

  t.test('answers that do not count', async (t) => {
    const uncharged = authority.issue('uncharged');
    const over = authority.issue('over', [SIGNING], -1);
    const charged = stranger.issue('charged', [SIGNING]);
    const refused = async (why: string, answer: Parameters<typeof responder>[1], expected: { name: string }) =>
      t.rejects(asking(answer), expected, why);
    const invalid = (message: RegExp) => ({ name: 'RevocationInvalid', message });

    await refused('who was not charged', (body) => authority.answer(body, uncharged), invalid(/not charged/));
    await refused('who was charged once', (body) => authority.answer(body, over), invalid(/not charged/));
    await refused('who was charged by another', (body) => authority.answer(body, charged), invalid(/not charged/));
    await refused(
      'of another of the same name',
      (body) => authority.answer(body, stranger.ca),
      invalid(/not signed|not charged/),
    );
    await refused('a client of the issuer', (body) => authority.answer(body, another), invalid(/not charged/));

    const asked = createAsk({ url: undefined, withNonce: false, clock: Date.now });
    await t.rejects(asked(client.certificate, issuer, LIMIT), invalid(/names no responder/));

    let foreign: Buffer | undefined;
    const { url: tap } = await responder(t, async (body) => {
      foreign = await authority.answer(body);
      return foreign;
    });
    await createAsk({ url: tap, withNonce: false, clock: Date.now })(another.certificate, issuer, LIMIT);
    await refused('about another certificate', async () => foreign, invalid(/not about the certificate/));
    await createAsk({ url: tap, withNonce: true, clock: Date.now })(client.certificate, issuer, LIMIT);
    await refused('an answer to another request', async () => foreign, invalid(/another request/));
    await createAsk({ url: tap, withNonce: false, clock: Date.now })(client.certificate, issuer, LIMIT);
    t.match(await asking(async () => foreign), { status: 'good' }, 'prepared, without a nonce');
    const later = createAsk({
      url: (await responder(t, async () => foreign)).url,
      withNonce: true,
      clock: () => Date.now() + 700_000,
    });
    await t.rejects(later(client.certificate, issuer, LIMIT), invalid(/not in force/), 'too old');
    const sooner = createAsk({
      url: (await responder(t, async () => foreign)).url,
      withNonce: true,
      clock: () => Date.now() - 700_000,
    });
    await t.rejects(sooner(client.certificate, issuer, LIMIT), invalid(/not in force/), 'of a time to come');

    authority.forget(client);
    await refused('whom the responder does not know', (body) => authority.answer(body), invalid(/does not know/));
    authority.set(client, 'V');
    await refused('none', async () => Buffer.alloc(0), invalid(/not DER/));
    await refused('nonsense', async () => Buffer.from('good, believe me'), { name: 'RevocationInvalid' });
    await refused('a page', async () => Buffer.from('<html>'), { name: 'RevocationInvalid' });
    await refused('try later', async () => Buffer.from([0x30, 3, 0x0a, 1, 3]), invalid(/status 3/));
    const whole = foreign ?? Buffer.alloc(0);
    for (let length = 1; length < whole.length; length += 7) {
      await refused(`${length} bytes of it`, async () => whole.subarray(0, length), { name: 'RevocationInvalid' });
    }
    for (let at = 0; at < whole.length; at += 5) {
      const turned = Buffer.from(whole);
      turned[at] = (turned[at] ?? 0) ^ 0x10;
      const answered = await asking(async () => turned).catch((error: unknown) => error);
      // What nobody signs may be turned: the certificates that are sent along, and the name of the type.
      if (answered instanceof Error) t.equal(answered.name, 'RevocationInvalid', `bit of byte ${at}`);
      else t.match(answered, { status: 'good' });
    }
  });

  t.test('responders that do not answer', async (t) => {
    const good = (body: Buffer) => authority.answer(body);
    await t.rejects(
      asking(async (body, response) => {
        response.statusCode = 500;
        return good(body);
      }),
      { message: /HTTP status 500/ },
    );
    const { url: elsewhere, asked } = await responder(t, good);
    await t.rejects(
      asking(async (_body, response) => {
        response.writeHead(307, { location: elsewhere }).end();
        return undefined;
      }),
      { message: /HTTP status 307/ },
    );
    t.equal(asked(), 0, 'nobody is followed');
    await t.rejects(
      asking(async () => Buffer.alloc(70_000, 0x30)),
      { code: 'ANSWER_TOO_LARGE' },
    );
    await t.rejects(
      asking(async () => undefined, 200),
      { code: 'NO_ANSWER' },
      'not in time',
    );
    const endless = asking(async (_body, response) => {
      const drip = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(drip));
      return undefined;
    }, 300);
    await t.rejects(endless, { code: 'NO_ANSWER' }, 'one byte at a time');
    const nobody = createAsk({ url: 'http://127.0.0.1:9/', withNonce: true, clock: Date.now });
    await t.rejects(nobody(client.certificate, issuer, LIMIT), { code: 'NO_ANSWER' });
  });

  t.test('the responder that a certificate names', async (t) => {
    const named = (...aia: string[]) => {
      const extension = aia.length === 0 ? [] : [`authorityInfoAccess=${aia.join(',')}`];
      return responderOf(authority.issue(`aia-${Math.random()}`, extension).certificate);
    };
    t.equal(named('OCSP;URI:http://ocsp.example/a'), 'http://ocsp.example/a');
    t.equal(
      named('caIssuers;URI:http://ca.example/x', 'OCSP;URI:https://ocsp.example:8080/'),
      'https://ocsp.example:8080/',
    );
    t.equal(named('caIssuers;URI:http://ca.example/x'), undefined);
    t.equal(named('OCSP;URI:ldap://ocsp.example/'), undefined);
    t.equal(named('OCSP;URI:file:///etc/passwd'), undefined);
    t.equal(named(), undefined);
  });

  t.test('what is known of a certificate, and for how long', async (t) => {
    let now = Date.now();
    let revoked = 0;
    const failures: unknown[] = [];
    let answer: () => Promise<'good' | 'revoked'> = async () => 'good';
    let asked = 0;
    const ask: Ask = async () => {
      asked += 1;
      return { status: await answer(), until: now + 7_200_000, der: new Uint8Array() };
    };
    const options: OcspStatusOptions = {
      ask,
      issuerOf: () => issuer,
      clock: () => now,
      revoked: () => {
        revoked += 1;
      },
      failed: (error) => failures.push(error),
    };
    const status = createOcspStatus(options);
    const outcome = async (of: OcspStatus) => {
      try {
        await of.confirm(certificate);
        return 'good';
      } catch (error) {
        return error instanceof Unauthenticated ? error.reason : error;
      }
    };
    const { certificate } = client;
    await Promise.all([status.confirm(certificate), status.confirm(certificate)]);
    t.equal(asked, 1, 'asked once for both');
    t.equal(status.confirm(certificate), undefined, 'and then nobody waits');
    now += 2_000_000;
    answer = async () => {
      throw new Error('away');
    };
    t.equal(status.confirm(certificate), undefined, 'asked again in the background, and not waited for');
    await until('the failure', async () => failures.length === 1, 2000);
    t.equal(status.confirm(certificate), undefined, 'away: what was said counts on');
    now += 1_600_000;
    t.equal(await outcome(status), 'CERTIFICATE_STATUS_UNKNOWN', 'to its end, an hour at most');
    t.equal(await outcome(status), 'CERTIFICATE_STATUS_UNKNOWN', 'no storm of questions');
    t.equal(asked, 3);
    now += 1001;
    answer = async () => 'good';
    await status.confirm(certificate);
    t.equal(status.isRevoked(certificate), false);
    now += 2_000_000;
    answer = async () => 'revoked';
    t.equal(status.confirm(certificate), undefined);
    await until('the revocation', async () => revoked === 1, 2000);
    t.equal(await outcome(status), 'CERTIFICATE_REVOKED');
    t.equal(status.isRevoked(certificate), true);
    const nobodys = createOcspStatus({ ...options, issuerOf: () => undefined });
    t.equal(await outcome(nobodys), 'CERTIFICATE_STATUS_UNKNOWN');
  });

  t.test("the server's own certificate, with what its responder says", async (t) => {
    let isSlow = false;
    const { url, asked } = await responder(t, (body) =>
      isSlow ? new Promise(() => undefined) : authority.answer(body),
    );
    const serve = async (name: string, extensions: string[]) => {
      const own = authority.issue(name, extensions);
      const pem = (path: string) => readFileSync(path, 'utf8');
      const server = createServer({ key: pem(own.key), cert: `${pem(own.crt)}${pem(authority.ca.crt)}` });
      createStapler({
        ask: createAsk({ withNonce: false, clock: Date.now }),
        clock: Date.now,
        failed: () => undefined,
      })(server);
      await new Promise<void>((resolve) => {
        server.listen(0, '127.0.0.1', resolve);
      });
      t.teardown(() => server.close());
      // It listens on an address, not on a pipe.
      return (server.address() as AddressInfo).port;
    };
    const stapled = async (port: number) => {
      const { promise, resolve, reject } = Promise.withResolvers<Buffer | null>();
      const socket = connect({
        host: '127.0.0.1',
        port,
        requestOCSP: true,
        ca: readFileSync(authority.ca.crt),
        checkServerIdentity: () => undefined,
      });
      socket.on('OCSPResponse', resolve).on('error', reject);
      return promise.finally(() => socket.destroy());
    };
    const named = await serve('stapled', [`authorityInfoAccess=OCSP;URI:${url}`]);
    const first = await stapled(named);
    t.ok((first?.length ?? 0) > 200);
    t.same(await stapled(named), first);
    t.equal(asked(), 1, 'kept');
    const plain = await serve('plain', []);
    t.notOk((await stapled(plain))?.length, 'without a responder there is none');
    isSlow = true;
    const slow = await serve('slow', [`authorityInfoAccess=OCSP;URI:${url}`]);
    const began = performance.now();
    t.notOk((await stapled(slow))?.length);
    t.ok(performance.now() - began < 1900, 'the handshake goes on without it');
  });
});
