import type { X509Certificate } from 'node:crypto';

import { type Clock, timestamp } from '../../clock.ts';
import { sha256Digest } from '../../crypto/digest.ts';
import type { AppliedEvent, Ending, WatchedSource } from '../../trust/watched.ts';
import { isInForce, parseTrustBundle, type TrustBundle } from '../trust-bundle.ts';
import { type RevocationList, readRevocationLists } from './crl.ts';
import { RevocationInvalid } from './errors.ts';
import { compileLists, NO_LISTS, type RevocationLists } from './lists.ts';

export interface CrlSource {
  readonly source: WatchedSource;
  current(): RevocationLists;
}

interface LoadedFile {
  readonly path: string;
  readonly digest: string;
  readonly lists: readonly RevocationList[];
}

/** The revocation lists in files, checked against the authorities in another. */
export function createCrlSource(options: {
  readonly files: readonly string[];
  readonly clientCaFile: string;
  /** The authorities in force: they may be others than the lists were last checked against. */
  readonly trustBundle: () => Pick<TrustBundle, 'authorities'>;
  readonly clock: Clock;
}): CrlSource {
  const { files, clientCaFile, trustBundle, clock } = options;
  let lists = NO_LISTS;
  let loaded: readonly LoadedFile[] = [];

  const source: WatchedSource = {
    name: 'crl',
    paths: [clientCaFile, ...files],
    load: async (contents) => {
      const authorities = authoritiesIn(contents.get(clientCaFile));
      const read = files.map((path) => readFile(path, contents.get(path)));
      const all = read.flatMap((file) => file.lists);
      const next = compileLists(all, { authorities, before: lists, now: clock() });
      return {
        apply: () => {
          lists = next;
          loaded = read;
        },
        ends: ['CERTIFICATE_REVOKED', 'CERTIFICATE_STATUS_UNKNOWN'],
        events: (closedConnections) => read.map((file, index) => applied(file, index, closedConnections)),
      };
    },
    endings: () => (loaded.length === 0 ? [] : [...loaded.map(endingOf), ...missing()]),
  };
  /** All clients of an authority without a list are refused, which must not look healthy. */
  function missing(): Ending[] {
    const now = clock();
    const without = trustBundle().authorities.filter((one) => isInForce(one, now) && lists.listOf(one) === undefined);
    if (without.length === 0) return [];
    // It has been missing for as long as the authority has been one.
    return [{ certificate: 'crl:missing', notAfter: Math.min(...without.map((one) => one.validFromDate.getTime())) }];
  }

  return { source, current: () => lists };
}

function authoritiesIn(bundle: Buffer | undefined): readonly X509Certificate[] {
  return parseTrustBundle((bundle ?? Buffer.alloc(0)).toString('utf8')).authorities;
}

function readFile(path: string, bytes: Buffer = Buffer.alloc(0)): LoadedFile {
  try {
    return { path, digest: sha256Digest(bytes), lists: readRevocationLists(bytes) };
  } catch (cause) {
    if (!(cause instanceof RevocationInvalid)) throw cause;
    throw new RevocationInvalid(`${path}: ${cause.message}`, cause);
  }
}

/** One event for each file: they are named by their place in the settings, for a path says more than a reader needs. */
function applied({ digest, lists }: LoadedFile, index: number, closedConnections: number): AppliedEvent {
  const [only, ...more] = lists;
  const single = only === undefined || more.length > 0 ? undefined : only;
  return {
    type: 'revocations.applied',
    payload: {
      digest,
      source: labelOf(index),
      ...(single?.number === undefined ? {} : { crlNumber: single.number.toString() }),
      entries: lists.reduce((sum, { revoked }) => sum + revoked.size, 0),
      nextUpdate: timestamp(firstEnd(lists)),
      closedConnections,
    },
  };
}

function endingOf({ lists }: LoadedFile, index: number): Ending {
  return { certificate: labelOf(index), notAfter: firstEnd(lists) };
}

function labelOf(index: number): string {
  return `crl:${index + 1}`;
}

function firstEnd(lists: readonly RevocationList[]): number {
  return Math.min(...lists.map(({ nextUpdate }) => nextUpdate));
}
