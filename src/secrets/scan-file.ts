import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

import { detect } from './detect.ts';
import { findKeyFile } from './key-files.ts';
import { LONGEST_CONTEXT, LONGEST_MATCH, type Match } from './match.ts';

/** Bytes read at a time; a window holds one piece and what the patterns need on both sides. */
const PIECE = 1024 * 1024;
/** Where git looks for a NUL to tell a binary file. */
const BINARY_HEAD = 8000;
/** Binary files up to this size are looked through like text: a key in a database file or a bundle is a key. */
const BINARY_LIMIT = 16 * 1024 * 1024;

export interface Finding {
  readonly line: number;
  readonly kind: string;
  /** The first 8 hex digits of the SHA-256 of the secret: tells secrets apart and gives nothing away that was random. */
  readonly fingerprint: string;
}

export interface FileScan {
  readonly findings: readonly Finding[];
  /** Why only the beginning was looked at. */
  readonly skipped?: string;
}

/** One regular file, never through a link; undefined for anything else. Memory does not grow with the file. */
export async function scanFile(path: string): Promise<FileScan | undefined> {
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = await file.stat();
    if (!stat.isFile()) return undefined;
    const scan = createScan();
    const buffer = Buffer.allocUnsafe(PIECE);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, PIECE, null);
      if (bytesRead === 0) return { findings: scan.end() };
      const piece = buffer.subarray(0, bytesRead);
      if (scan.add(piece) === 'binary' && stat.size > BINARY_LIMIT) {
        return { findings: scan.keyFile(), skipped: `binary of ${stat.size} bytes` };
      }
    }
  } finally {
    await file.close();
  }
}

/**
 * Looks through a text given in pieces. A match counts in the one window in which it begins far enough from the end to be
 * whole; what comes before stays in view as context, so a boundary hides nothing and reports nothing twice.
 */
export function createScan(sizes = { before: LONGEST_CONTEXT, after: LONGEST_MATCH }) {
  const findings: Finding[] = [];
  let keyFile: Finding | undefined;
  let nature: 'text' | 'binary' | 'utf16' | undefined;
  let window = '';
  /** Where in the window matches begin to count, and the line there. */
  let from = 0;
  let line = 1;

  function look(to: number): void {
    let at = from;
    for (const match of detect(window)) {
      if (match.start < from || match.start >= to) continue;
      line += newlines(window, at, match.start);
      at = match.start;
      findings.push(findingOf(match, line));
    }
    line += newlines(window, at, to);
    const keep = Math.max(0, to - sizes.before);
    window = window.slice(keep);
    from = to - keep;
  }

  return {
    add(piece: Buffer): 'text' | 'binary' | 'utf16' {
      if (nature === undefined) {
        nature = natureOf(piece);
        const [match] = findKeyFile(piece.toString('latin1'));
        if (match !== undefined) keyFile = findingOf(match, 1);
      }
      const text = piece.toString('latin1');
      window += nature === 'utf16' ? text.replaceAll('\0', '') : text;
      if (window.length - from > sizes.after) look(window.length - sizes.after);
      return nature;
    },
    keyFile: (): Finding[] => (keyFile === undefined ? [] : [keyFile]),
    end(): Finding[] {
      look(window.length);
      return keyFile === undefined ? findings : [keyFile, ...findings];
    },
  };
}

function natureOf(head: Buffer): 'text' | 'binary' | 'utf16' {
  // UTF-16, as Windows shells write: without its NULs it reads as ASCII, which is all the patterns know.
  const mark = head.subarray(0, 2).toString('latin1');
  if (mark === '\xff\xfe' || mark === '\xfe\xff') return 'utf16';
  return head.subarray(0, BINARY_HEAD).includes(0) ? 'binary' : 'text';
}

function findingOf({ kind, secret }: Match, line: number): Finding {
  const fingerprint = createHash('sha256').update(secret, 'latin1').digest('hex').slice(0, 8);
  return { line, kind, fingerprint };
}

function newlines(text: string, from: number, to: number): number {
  let count = 0;
  for (let at = text.indexOf('\n', from); at !== -1 && at < to; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}
