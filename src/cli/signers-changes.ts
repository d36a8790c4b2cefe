import { readFileSync } from 'node:fs';

import { UsageError } from './command.ts';

const SEQ = /^[1-9][0-9]{0,14}$/;
const HASH = /^[0-9a-f]{64}$/;
const CHAIN = /^(?:_system|[a-z0-9][a-z0-9-]{0,62})$/;

type Values = Readonly<Record<string, string | boolean | undefined>>;
type Answer = Readonly<Record<string, unknown>>;

interface Option {
  /** What stands behind it; nothing: it is there, or not. */
  readonly value?: string;
  readonly about: string;
}

/** A command that changes the registry by asking the service. */
export interface Change {
  readonly name: string;
  readonly summary: string;
  /** What follows the name in its usage. */
  readonly takes: string;
  readonly about?: string;
  readonly options: Readonly<Record<string, Option>>;
  readonly positionals?: number;
  /** What to ask. Throws UsageError, or the error of a file that cannot be read. */
  call(values: Values, words: readonly string[]): { readonly path: string; readonly body: object };
  /** The answer in one line. */
  said(answer: Answer): string;
}

const signer: Option = { value: 'id', about: 'the id of the signer' };
const reason: Option = { value: 'text', about: 'why, for the audit log' };

/** A step in the life of one signer. */
function step(
  name: string,
  of: Pick<Change, 'summary' | 'takes' | 'about' | 'options'>,
  body: (values: Values) => object,
): Change {
  return {
    ...of,
    name: `signers ${name}`,
    options: { signer, ...of.options },
    call: (values) => ({
      path: `/v1/signers/${encodeURIComponent(needed(values, 'signer'))}/${name}`,
      body: body(values),
    }),
    said: entryOf,
  };
}

export const CHANGES: readonly Change[] = [
  {
    name: 'signers import',
    summary: 'trust the keys of a signers.json: all of them, or none',
    takes: '<signers.json>',
    about: 'Those that are registered just like this are left as they are.',
    options: {},
    positionals: 1,
    call: (_values, [path]) => {
      if (path === undefined) throw new UsageError('which signers.json?');
      return { path: '/v1/signers/import', body: { signers: signersIn(path) } };
    },
    said: ({ imported, skipped }) => `imported: ${listOf(imported)}; left as they are: ${listOf(skipped)}`,
  },
  {
    name: 'signers rotate',
    summary: 'list a key that is to take the place of another',
    takes: '--replaces <id> --signer <id> --public-key <file> --alg <name> --reason <text>',
    about:
      'The first replica that signs with it puts it in force; one of manifests is put in force by `signers activate`.',
    options: {
      signer,
      replaces: { value: 'id', about: 'the signer whose place it takes' },
      'public-key': { value: 'file', about: 'a file with SPKI in PEM' },
      alg: { value: 'name', about: 'Ed25519, ECDSA-P256-SHA256 or RSA-PSS-SHA256' },
      emergency: { about: 'the key to be replaced is gone: accepted even while nothing can be signed' },
      reason,
    },
    call: (values) => {
      const replacement = {
        signerId: needed(values, 'signer'),
        alg: needed(values, 'alg'),
        publicKey: readFileSync(needed(values, 'public-key'), 'utf8'),
      };
      const emergency = values['emergency'] === true ? { emergency: true } : {};
      const body = { reason: needed(values, 'reason'), replacement, ...emergency };
      return { path: `/v1/signers/${encodeURIComponent(needed(values, 'replaces'))}/rotate`, body };
    },
    said: entryOf,
  },
  step(
    'activate',
    { summary: 'put a pending key of manifests in force', takes: '--signer <id>', options: {} },
    () => ({}),
  ),
  step(
    'retire',
    {
      summary: 'end the overlap: the signer signs no more, and what it signed still counts',
      takes: '--signer <id>',
      options: {},
    },
    () => ({}),
  ),
  step(
    'revoke',
    { summary: 'end the trust in a signer for good', takes: '--signer <id> --reason <text>', options: { reason } },
    (values) => ({ reason: needed(values, 'reason') }),
  ),
  step(
    'compromise',
    {
      summary: 'say that a key was in other hands, and until when it surely was not',
      takes: '--signer <id> --reason <text>',
      about: 'What it signed after that is in doubt until `signers reattest` vouches for it.',
      options: {
        reason,
        'trusted-up-to': {
          value: 'time',
          about: 'RFC 3339; until then it was surely in nobody else’s hands (default: now)',
        },
      },
    },
    (values) => {
      const until = values['trusted-up-to'];
      return { reason: needed(values, 'reason'), ...(until === undefined ? {} : { trustedUpTo: until }) };
    },
  ),
  {
    name: 'signers reattest',
    summary: 'vouch for the events that a compromised signer left in doubt',
    takes: '--signer <id> --chain <name> --reason <text>',
    about:
      'Compare them first with what was kept elsewhere (a backup, an export, checkpoints): from then on they count.',
    options: {
      signer,
      chain: { value: 'name', about: "the workspace's chain (_system for what belongs to none)" },
      to: { value: 'seq', about: 'the last event that was compared: refused if more are in doubt' },
      hash: { value: 'hex', about: 'the hash of that event, from where it was compared with' },
      reason,
    },
    call: (values) => {
      const chain = needed(values, 'chain');
      if (!CHAIN.test(chain)) throw new UsageError('--chain is no workspace id');
      const of = chain === '_system' ? '/v1/audit' : `/v1/workspaces/${chain}/audit`;
      const { to, hash } = values;
      if (to !== undefined && !SEQ.test(String(to))) throw new UsageError('--to is no seq');
      if (hash !== undefined && !HASH.test(String(hash))) throw new UsageError('--hash is not 64 hex digits');
      const body = {
        signerId: needed(values, 'signer'),
        reason: needed(values, 'reason'),
        ...(to === undefined ? {} : { to: Number(to) }),
        ...(hash === undefined ? {} : { hash }),
      };
      return { path: `${of}/reattestations`, body };
    },
    said: ({ chain, signerId, from, to }) =>
      `${signerId}: its events from seq ${from} to ${to} of chain ${chain} are vouched for`,
  },
];

function entryOf({ signerId, alg, purpose, state }: Answer): string {
  return `${signerId}  ${alg}  ${purpose}  ${state}`;
}

function listOf(ids: unknown): string {
  return Array.isArray(ids) && ids.length > 0 ? ids.join(', ') : 'none';
}

function needed(values: Values, name: string): string {
  const value = values[name];
  if (typeof value !== 'string' || value === '') throw new UsageError(`--${name} is missing`);
  return value;
}

function signersIn(path: string): unknown[] {
  let document: unknown;
  try {
    document = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new UsageError('the file is no signers.json: it is not JSON');
  }
  const signers: unknown = Reflect.get(Object(document), 'signers');
  if (!Array.isArray(signers)) throw new UsageError('the file is no signers.json: it has no list "signers"');
  return signers;
}
