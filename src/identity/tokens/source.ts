import type { TokenConfig } from '../../config/identity.ts';
import { sha256Digest } from '../../crypto/digest.ts';
import { fetchJson } from '../../http/fetch-json.ts';
import type { Loaded, WatchedSource } from '../../trust/watched.ts';
import { parseTokenIssuers } from './issuers.ts';
import type { TokenAuthority } from './tokens.ts';

/** The file with the issuers, and the authorities that their servers are known by: both are read again when they change. */
export function tokenIssuersSource(config: TokenConfig, tokens: Pick<TokenAuthority, 'use'>): WatchedSource {
  const { issuersFile, caFile } = config;
  return {
    name: 'token_issuers',
    paths: caFile === undefined ? [issuersFile] : [issuersFile, caFile],
    load: async (contents): Promise<Loaded> => {
      const file = contentOf(contents, issuersFile);
      const issuers = parseTokenIssuers(file);
      const ca = caFile === undefined ? undefined : contentOf(contents, caFile).toString('utf8');
      const digest = sha256Digest(file);
      return {
        apply: () =>
          tokens.use({
            issuers,
            fetchDocument: (url, { publicOnly }) => fetchJson(url, { ca, publicOnly }),
            trust: ca ?? '',
          }),
        ends: ['TOKEN_ISSUER_UNKNOWN', 'TOKEN_CLAIMS_INVALID', 'TOKEN_SIGNATURE_INVALID', 'TOKEN_BOUND_ELSEWHERE'],
        events: () => [{ type: 'token.issuers.applied', payload: { digest, issuers: issuers.length } }],
      };
    },
  };
}

function contentOf(contents: ReadonlyMap<string, Buffer>, path: string): Buffer {
  const content = contents.get(path);
  if (content === undefined) throw new Error(`${path} was not read`);
  return content;
}
