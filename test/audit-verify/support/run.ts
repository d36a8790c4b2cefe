import { Writable } from 'node:stream';

import { toJson } from '../../../src/audit/verify/report.ts';
import { runVerification } from '../../../src/audit/verify/verification.ts';
import { auditExport } from '../../../src/cli/audit-export.ts';
import { auditVerify } from '../../../src/cli/audit-verify.ts';
import { parseVerifyRequest } from '../../../src/cli/audit-verify-request.ts';

interface Finding {
  chain: string;
  seq: number;
  class: string;
  detail: string;
}

export interface VerifyJson {
  ok: boolean;
  strength: string;
  events: number;
  signatures: number;
  findings: Finding[];
}

/** A stream that keeps what is written to it. */
export function sink(): { stream: Writable; text(): string } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString('utf8') };
}

export type Env = Record<string, string | undefined>;

export async function runVerify(argv: string[], env: Env = {}): Promise<{ code: number; out: string; err: string }> {
  return runCommand(auditVerify, argv, env);
}

export async function runExport(argv: string[], env: Env = {}): Promise<{ code: number; out: string; err: string }> {
  return runCommand(auditExport, argv, env);
}

export async function verifyJson(argv: string[]): Promise<{ code: number; report: VerifyJson; err: string }> {
  const { code, out, err } = await runVerify([...argv, '--json']);
  if (out === '') throw new Error(`no report (exit ${code}): ${err}`);
  return { code, report: JSON.parse(out), err };
}

/** The verification itself, without the command's own thread: for many small runs. */
export async function verifyDirectly(
  databaseUrl: string,
  chain: string,
): Promise<{ verdict: string; report: VerifyJson }> {
  const report = await runVerification(
    { databaseUrl, exportPath: undefined, signersPath: undefined, chain, from: 1, workers: 1 },
    () => undefined,
  );
  return { verdict: report.verdict, report: JSON.parse(toJson(report)) };
}

/** What the command would print for these arguments, without its thread. */
export async function verifyHere(argv: string[]): Promise<{ verdict: string; report: VerifyJson; notes: string }> {
  const request = parseVerifyRequest(argv, {});
  if (request === 'help') throw new Error('help was asked for');
  const report = await runVerification({ ...request, workers: 1 }, () => undefined);
  return { verdict: report.verdict, report: JSON.parse(toJson(report)), notes: report.notes.join('\n') };
}

async function runCommand(command: typeof auditVerify, argv: string[], env: Env) {
  const [out, err] = [sink(), sink()];
  const code = await command(argv, { env, stdout: out.stream, stderr: err.stream });
  return { code, out: out.text(), err: err.text() };
}
