import t from 'tap';

import { detect } from '../../src/secrets/detect.ts';

const MIB = 1024 * 1024;
/** Four times the text costs a linear pattern four times the work, a quadratic one sixteen times. */
const MAX_GROWTH = 9;
/** Microseconds of CPU below which noise decides. */
const FLOOR = 400_000;

/** Beginnings that never become a match, and long runs of what the patterns repeat. */
const BEGIN = `-----${'BEGIN'} `;
const SEEDS = [
  'a',
  'A0/+',
  '-',
  '\\',
  '\\n',
  ' ',
  '{',
  '/',
  BEGIN,
  `${BEGIN}PRIVATE KEY-----`,
  `${BEGIN}PRIVATE KEY-----\nProc-Type: `,
  `${BEGIN}PRIVATE KEY-----\nMIIEAAAAAAAAAAAAAAAA\n`,
  `LS0tLS1CRUdJTi${'A'.repeat(40)}`,
  'LS0tLS1CRUdJTi',
  '"kty":"',
  '"kty":"OKP","d":"',
  '"d":"aaaaaaaa",',
  'AKIA',
  `AKIA${'A'.repeat(16)} `,
  `${'aB3'.repeat(13)}x `,
  'gh' + 'p_',
  'github_pat_',
  'glpat-',
  'xoxb-',
  'sk-proj-',
  'sk-ant-api03-',
  'PRIVATE+KEY+a+',
  'hooks.slack.com/services/',
  'token',
  'token=',
  'token="',
  'token = aB3x9Kq7aB3x9Kq7,',
  'secret_key\\\\\\"',
  '://',
  '://a:',
  '://a:bcd',
];

t.test('four times the text is about four times the work, whatever it is', async (t) => {
  for (const seed of SEEDS) {
    const [small, large] = [cpuOf(seed, MIB / 4), cpuOf(seed, MIB)];
    t.ok(large < FLOOR || large < small * MAX_GROWTH, `${JSON.stringify(seed)}: ${small} µs, ${large} µs`);
  }
});

function cpuOf(seed: string, length: number): number {
  const text = seed.repeat(Math.ceil(length / seed.length));
  const begun = process.cpuUsage();
  detect(text);
  return process.cpuUsage(begun).user;
}
