import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract, type Header } from 'tar-stream';

import { PolicyInvalid } from './errors.ts';

export const MAX_UNPACKED_BYTES = 4 * 1_048_576;
export const MAX_FILES = 1000;
/** Entries of any kind; directories are cheap to pack and cost something to read. */
const MAX_ENTRIES = 4 * MAX_FILES;
/** Plain text packs at 5 to 10; the floor keeps small honest bundles out of it. */
const MAX_RATIO = 100;
const RATIO_FLOOR_BYTES = 262_144;
/** What unpacked bytes may come to with the headers and padding of MAX_ENTRIES entries. */
const MAX_STREAM_BYTES = MAX_UNPACKED_BYTES + MAX_ENTRIES * 2048;

/** The regular files of an OPA bundle (tar.gz), read as a stream within caps. Throws PolicyInvalid. */
export async function unpackTarball(tarball: Buffer): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const tar = extract();
  const sizes = { entries: 0, content: 0 };
  const readEntries = async () => {
    for await (const entry of tar) {
      const { name, type } = entry.header;
      sizes.entries += 1;
      if (sizes.entries > MAX_ENTRIES) throw new PolicyInvalid('the bundle has too many entries');
      if (type === 'directory') {
        entry.resume();
        continue;
      }
      requireRegularFile(entry.header);
      if (files.size >= MAX_FILES) throw new PolicyInvalid(`the bundle has more than ${MAX_FILES} files`);
      if (files.has(name)) throw refused(name, 'a second file of this path');
      files.set(name, await readContent(entry, sizes));
    }
  };
  try {
    await Promise.all([
      pipeline(Readable.from([tarball]), createGunzip(), boundedBy(tarball.length), tar),
      readEntries(),
    ]);
  } catch (error) {
    if (error instanceof PolicyInvalid) throw error;
    throw new PolicyInvalid(
      'the tarball is not a readable tar.gz',
      [{ pointer: '/bundle/tarball', detail: 'not a readable tar.gz' }],
      error,
    );
  }
  return files;
}

// Links, devices and climbing paths have no business in a bundle, even one that is never written to disk.
function requireRegularFile({ name, type }: Header): void {
  if (type !== 'file' && type !== 'contiguous-file') throw refused(name, `not a regular file (${type ?? 'unknown'})`);
  if (name.includes('\\') || name.includes('\0')) throw refused(name, 'not a usable path');
  if (name.split('/').includes('..')) throw refused(name, 'the path climbs out of the bundle');
}

async function readContent(entry: AsyncIterable<unknown>, sizes: { content: number }): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of entry) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('an entry is not bytes');
    sizes.content += chunk.length;
    if (sizes.content > MAX_UNPACKED_BYTES) throw new PolicyInvalid('the bundle is larger than 4 MiB unpacked');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function boundedBy(packedBytes: number): Transform {
  let size = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size > MAX_STREAM_BYTES) done(new PolicyInvalid('the bundle is larger than 4 MiB unpacked'));
      else if (size > RATIO_FLOOR_BYTES && size > packedBytes * MAX_RATIO)
        done(new PolicyInvalid(`the bundle unpacks to more than ${MAX_RATIO} times its size`));
      else done(null, chunk);
    },
  });
}

function refused(name: string, detail: string): PolicyInvalid {
  const file = name.slice(0, 200).toWellFormed();
  return new PolicyInvalid(`${file}: ${detail}`, [{ file, detail }]);
}
