import { auditVerify } from '../../../src/cli/audit-verify.ts';

// `castellan audit verify` as a process of its own; with REPORT_RSS its largest memory goes to stderr at the end.
process.exitCode = await auditVerify(process.argv.slice(2), process);
if (process.env['REPORT_RSS'] === '1') process.stderr.write(`maxrss ${process.resourceUsage().maxRSS}\n`);
