import { setTimeout as delay } from 'node:timers/promises';

import { DEFAULT_SOURCE, toCloudEvent } from '../audit/stream/cloudevents.ts';
import type { Destination } from '../audit/stream/destination.ts';
import { StreamError } from '../audit/stream/errors.ts';
import { fileDestination } from '../audit/stream/file.ts';
import { follow } from '../audit/stream/follow.ts';
import { openLogReader } from '../audit/stream/log-reader.ts';
import { toOcsf } from '../audit/stream/ocsf.ts';
import { outputDestination } from '../audit/stream/output.ts';
import { readState, writeState } from '../audit/stream/state.ts';
import type { StreamedEvent } from '../audit/stream/streamed-event.ts';
import { webhookDestination } from '../audit/stream/webhook.ts';
import { printable } from '../audit/verify/report.ts';
import { loadStreamSecrets } from '../config.ts';
import { parseStreamRequest, type StreamRequest } from './audit-stream-request.ts';
import { type Command, type CommandIo, EXIT, guarded } from './command.ts';

/** Events are gone from the log, or hidden from the login: as `audit verify` says it. */
const INCOMPLETE = 2;
/** Attempts at a receiver that does not answer, with --once; else there is no end to them. */
const ATTEMPTS_ONCE = 5;

const USAGE = `Usage: castellan audit stream --format ocsf|cloudevents --to stdout|<file>|<url> [options]

Follows the audit log and hands each committed event on to another system (docs/streams.md), in the order of its chain and at
least once. It is made for searching and alarms: signatures are left out, and what arrives is no evidence. Evidence is
\`castellan audit export\`; each event carries chain, seq and hash, by which it is found there.

  --format <form>       cloudevents (CloudEvents 1.0, JSON) or ocsf (OCSF 1.8)
  --to <destination>    stdout, a file that is appended to, or an https URL (http on loopback) that batches are POSTed to,
                        signed after Standard Webhooks with CASTELLAN_STREAM_WEBHOOK_SECRET (also _FILE);
                        CASTELLAN_STREAM_AUTHORIZATION (also _FILE) is sent as the Authorization header
  --database-url <url>  the database (default: DATABASE_URL or DATABASE_URL_FILE); any login that sees all rows
  --chain <name>        only this workspace's chain (_system for what belongs to none)
  --state <file>        remembers per chain what was delivered, and goes on from there; one file for each destination
  --from <seq>          where a chain begins that the state does not name (default: at its end when there is no state yet)
  --source <prefix>     cloudevents: what the chain's name follows in source (default: ${DEFAULT_SOURCE})
  --json-lines          to a URL: one event per line in place of a JSON array; stdout and files always have lines
  --once                ends when everything that is there now has been delivered
  -h, --help            show this

Exit codes: 0 delivered, or ended by SIGTERM or SIGINT; 1 a chain does not go on from what was delivered: verify it; 2 with
--once: events are gone from the log, or there is no such chain; rows hidden from this login; 3 cannot read, or the destination
refused; 64 usage; 78 secrets missing.
`;

export const auditStreamCommand: Command = {
  name: 'audit stream',
  summary: 'hand audit events on to other systems: CloudEvents or OCSF',
  run: auditStream,
};

/** `castellan audit stream`; resolves with the exit code. */
function auditStream(argv: readonly string[], io: CommandIo): Promise<number> {
  return guarded(io, USAGE, async () => {
    const request = parseStreamRequest(argv, io.env);
    if (request === 'help') {
      io.stdout.write(USAGE);
      return EXIT.ok;
    }
    const say = (text: string) => io.stderr.write(`castellan audit stream: ${printable(text)}\n`);
    const stop = stopOnSignal();
    try {
      return await stream(request, io, stop.signal, say);
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      say(withCause(error));
      return error.code === 'HIDDEN' ? INCOMPLETE : EXIT.io;
    } finally {
      stop.forget();
    }
  });
}

/** What failed, and why in the words of the system, unless they are in it already. */
function withCause({ message, cause }: StreamError): string {
  const why = cause instanceof Error ? cause.message : '';
  return why === '' || message.includes(why) ? message : `${message} (${why})`;
}

async function stream(
  request: StreamRequest,
  io: CommandIo,
  stop: AbortSignal,
  say: (text: string) => void,
): Promise<number> {
  const { databaseUrl, chain, from, statePath, once } = request;
  const wait = (ms: number): Promise<void> => delay(ms, undefined, { signal: stop });
  const { missing, broken } = await follow({
    open: () => openLogReader(databaseUrl, chain),
    known: statePath === undefined ? undefined : await readState(statePath),
    from,
    form: formOf(request),
    destination: destinationOf(request, io, wait, say),
    save: async (positions) => {
      if (statePath !== undefined) await writeState(statePath, positions);
    },
    once,
    stop,
    wait,
    say,
  });
  if (broken.length > 0) return EXIT.failed;
  return once && missing ? INCOMPLETE : EXIT.ok;
}

function formOf({ format, source = DEFAULT_SOURCE }: StreamRequest): (event: StreamedEvent) => string {
  return format === 'ocsf'
    ? (event) => JSON.stringify(toOcsf(event))
    : (event) => JSON.stringify(toCloudEvent(event, source));
}

function destinationOf(
  { to, format, lines, once }: StreamRequest,
  io: CommandIo,
  wait: (ms: number) => Promise<void>,
  say: (text: string) => void,
): Destination {
  if (to.kind === 'stdout') return outputDestination(io.stdout);
  if (to.kind === 'file') return fileDestination(to.path);
  const { webhookSecret, authorization } = loadStreamSecrets(io.env);
  const array = format === 'cloudevents' ? 'application/cloudevents-batch+json' : 'application/json';
  return webhookDestination({
    url: to.url,
    secret: webhookSecret,
    authorization,
    contentType: `${lines ? 'application/x-ndjson' : array}; charset=utf-8`,
    form: lines ? 'lines' : 'array',
    attempts: once ? ATTEMPTS_ONCE : Number.POSITIVE_INFINITY,
    clock: Date.now,
    random: Math.random,
    wait,
    failed: (why, ms) => say(`${why}; again in ${(ms / 1000).toFixed(1)} s`),
  });
}

/** Fires at the first SIGTERM or SIGINT; a second one ends the process. */
function stopOnSignal(): { signal: AbortSignal; forget(): void } {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(EXIT.failed);
    controller.abort();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return {
    signal: controller.signal,
    forget: () => {
      process.off('SIGTERM', onSignal);
      process.off('SIGINT', onSignal);
    },
  };
}
