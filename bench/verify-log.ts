// `castellan audit verify --json` of one chain, with what it cost: by the clock, in CPU time of all its threads, and the most memory it had.
import { Writable } from 'node:stream';

import { auditVerify } from '../src/cli/audit-verify.ts';

const [databaseUrl = '', chain = ''] = process.argv.slice(2);
let printed = '';
const stdout = new Writable({
  write: (chunk, _encoding, done) => {
    printed += String(chunk);
    done();
  },
});
const before = process.cpuUsage();
const started = performance.now();
const argv = ['--database-url', databaseUrl, '--chain', chain, '--json'];
const code = await auditVerify(argv, { env: {}, stdout, stderr: process.stderr });
const seconds = (performance.now() - started) / 1000;
const { user, system } = process.cpuUsage(before);
const report: { ok?: boolean; events?: number; signatures?: number } = JSON.parse(printed);
if (code !== 0 || report.ok !== true) throw new Error(`the log did not verify: ${printed.slice(0, 500)}`);
// Of the whole process, its threads among it; maxRSS is in KiB.
const peakMiB = process.resourceUsage().maxRSS / 1024;
console.log(JSON.stringify({ count: report.events, seconds, cpu: (user + system) / 1e6, peakMiB }));
