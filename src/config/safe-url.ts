import type { SettingsReader } from './read.ts';
import type { SettingName } from './settings.ts';

const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '[::1]', 'localhost']);
/** Bytes of a shared secret at least. */
const MIN_SECRET = 32;

/** What is sent must not be read on the way, nor go to whoever answers there; and a URL is no place for a secret. */
export function isSafeUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.has(url.hostname));
}

/** The setting's URL; one that is not safe is a problem. */
export function safeUrl(read: SettingsReader, name: SettingName): string | undefined {
  const url = read.text(name);
  if (url !== undefined && !isSafeUrl(url))
    read.problem(`${name} must be https (or http on loopback), without credentials`);
  return url;
}

/** The setting's shared secret, base64; one that could be guessed is a problem. */
export function longSecret(read: SettingsReader, name: SettingName): string | undefined {
  const secret = read.text(name);
  if (secret !== undefined && Buffer.from(secret, 'base64').length < MIN_SECRET) {
    read.problem(`${name} must be base64 of at least ${MIN_SECRET} bytes`);
  }
  return secret;
}
