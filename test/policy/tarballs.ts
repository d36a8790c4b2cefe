import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';

export interface Entry {
  name: string;
  content?: string | Buffer;
  type?: 'file' | 'directory' | 'symlink' | 'link' | 'character-device' | 'fifo';
  linkname?: string;
}

/** A tar.gz in base64, of any entries, hostile ones too. */
export async function tarball(entries: readonly Entry[]): Promise<string> {
  return gzipSync(await tar(entries)).toString('base64');
}

export async function tar(entries: readonly Entry[]): Promise<Buffer> {
  const packer = pack();
  for (const { name, content = '', type = 'file', linkname } of entries) {
    packer.entry({ name, type, ...(linkname === undefined ? {} : { linkname }) }, content);
  }
  packer.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of packer) {
    if (chunk instanceof Uint8Array) chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks);
}
