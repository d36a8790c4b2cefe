import type { Match } from './match.ts';
import { isPlaceholder } from './plausible.ts';

/**
 * Issuers that mark their tokens. The lookbehind keeps a pattern from starting inside a longer word, and every repetition
 * has a limit: the time is linear in the text.
 */
const TOKENS: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ['github-token', /(?<![A-Za-z0-9_])(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})/g],
  ['gitlab-token', /(?<![\w-])gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[\w.-]{20,300}/g],
  ['slack-token', /(?<![\w-])(?:xox[abceoprs]|xapp)-[A-Za-z0-9-]{10,255}/g],
  ['slack-webhook', /(?<=hooks\.slack\.com\/(?:services|workflows|triggers)\/)[A-Za-z0-9/]{20,128}/g],
  ['npm-token', /(?<![A-Za-z0-9_])npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])/g],
  ['google-api-key', /(?<![\w-])AIza[\w-]{35}(?![\w-])/g],
  ['google-client-secret', /(?<![\w-])GOCSPX-[\w-]{28}(?![\w-])/g],
  ['stripe-key', /(?<![A-Za-z0-9_])[rs]k_live_[A-Za-z0-9]{20,255}/g],
  ['anthropic-key', /(?<![\w-])sk-ant-[a-z]{2,8}[0-9]{2}-[\w-]{80,255}/g],
  ['openai-key', /(?<![\w-])sk-(?:(?:proj|svcacct|admin)-[\w-]{40,255}|[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20})/g],
  ['age-secret-key', /(?<![A-Z0-9-])AGE-SECRET-KEY-1[A-Z0-9]{58}(?![A-Z0-9])/g],
  // The signer key of a C2SP note, which signs checkpoints.
  ['note-private-key', /(?<![A-Z+])PRIVATE\+KEY\+[^\s+"'`]{1,255}\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{40,255}/g],
];

export function* findTokens(text: string): Generator<Match> {
  for (const [kind, pattern] of TOKENS) {
    for (const { 0: secret, index } of text.matchAll(pattern)) {
      const unmarked = secret.slice(secret.search(/[_-]/) + 1);
      if (!isPlaceholder(unmarked)) yield { kind, start: index, end: index + secret.length, secret };
    }
  }
}
