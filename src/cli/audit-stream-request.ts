import { isSafeUrl } from '../config/safe-url.ts';
import { type CommandIo, parseOptions, UsageError } from './command.ts';
import { databaseUrlOf } from './database-url.ts';

const CHAIN = /^(?:_system|[a-z0-9][a-z0-9-]{0,62})$/;
const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;

export type StreamTarget =
  | { readonly kind: 'stdout' }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'url'; readonly url: string };

export interface StreamRequest {
  readonly format: 'ocsf' | 'cloudevents';
  readonly to: StreamTarget;
  readonly databaseUrl: string;
  readonly chain: string | undefined;
  readonly from: number | undefined;
  readonly statePath: string | undefined;
  readonly source: string | undefined;
  readonly once: boolean;
  readonly lines: boolean;
}

/** What the arguments ask for; throws UsageError for what cannot be asked. */
export function parseStreamRequest(argv: readonly string[], env: CommandIo['env']): StreamRequest | 'help' {
  const { values } = parseOptions(argv, {
    format: { type: 'string' },
    to: { type: 'string' },
    'database-url': { type: 'string' },
    chain: { type: 'string' },
    from: { type: 'string' },
    state: { type: 'string' },
    source: { type: 'string' },
    once: { type: 'boolean' },
    'json-lines': { type: 'boolean' },
  });
  if (values.help === true) return 'help';
  const { format, to, chain, source } = values;
  if (format !== 'ocsf' && format !== 'cloudevents') throw new UsageError('--format is ocsf or cloudevents');
  if (to === undefined) throw new UsageError('--to is missing: stdout, a file or a URL');
  if (chain !== undefined && !CHAIN.test(chain)) throw new UsageError('--chain is no workspace id');
  if (source !== undefined && format !== 'cloudevents')
    throw new UsageError('--source is a member of CloudEvents only');
  if (source !== undefined && !/^[!-~]{1,512}$/.test(source)) throw new UsageError('--source is no URI');
  return {
    format,
    to: targetOf(to),
    databaseUrl: databaseUrlOf(values['database-url'], env),
    chain,
    from: values.from === undefined ? undefined : positive(values.from),
    statePath: values.state,
    source,
    once: values.once === true,
    lines: values['json-lines'] === true,
  };
}

function targetOf(to: string): StreamTarget {
  if (to === 'stdout') return { kind: 'stdout' };
  if (to === '') throw new UsageError('--to is empty');
  if (!SCHEME.test(to)) return { kind: 'file', path: to };
  if (!isSafeUrl(to)) {
    throw new UsageError('--to must be https (or http on loopback), without credentials, query or fragment');
  }
  return { kind: 'url', url: to };
}

function positive(text: string): number {
  const value = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new UsageError('--from is not a positive whole number');
  return value;
}
