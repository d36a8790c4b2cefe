import { printable } from '../audit/verify/report.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions } from './command.ts';
import { callService, SERVICE_OPTIONS, SERVICE_USAGE, ServiceError, targetOf } from './service-call.ts';
import { CHANGES, type Change } from './signers-changes.ts';

/** The commands that change the signer registry, by asking the service. */
export const signerChangeCommands: readonly Command[] = CHANGES.map((change) => {
  const { name, summary } = change;
  return { name, summary, run: (argv, io) => guarded(io, usageOf(change), () => run(change, argv, io)) };
});

async function run(change: Change, argv: readonly string[], io: CommandIo): Promise<number> {
  const own = Object.entries(change.options).map(([name, { value }]) => {
    return [name, { type: value === undefined ? 'boolean' : 'string' }] as const;
  });
  const options = { ...Object.fromEntries(own), ...SERVICE_OPTIONS, json: { type: 'boolean' } } as const;
  const { values, positionals } = parseOptions(argv, options, change.positionals);
  if (values.help === true) {
    io.stdout.write(usageOf(change));
    return EXIT.ok;
  }
  const { path, body } = change.call(values, positionals);
  const { url, cert, key, ca, json } = values;
  let answer: unknown;
  try {
    answer = await callService(targetOf({ url, cert, key, ca }, io.env), path, body);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    io.stderr.write(`castellan ${change.name}: ${printable(error.message)}\n`);
    return error.code === 'REFUSED' ? EXIT.failed : EXIT.io;
  }
  io.stdout.write(`${json === true ? JSON.stringify(answer) : printable(change.said(Object(answer)))}\n`);
  return EXIT.ok;
}

function usageOf({ name, summary, takes, about = '', options }: Change): string {
  const own = Object.entries(options).map(([option, { value, about }]) => line(option, value, about));
  return `Usage: castellan ${name} ${takes} [options]

${summary.charAt(0).toUpperCase()}${summary.slice(1)}.${about === '' ? '' : `\n${about}`}

${own.join('')}${SERVICE_USAGE}  --json                print what the service answered

Exit codes: 0 done, 1 refused by the service (its code is printed), 3 cannot read or no answer, 64 usage.
`;
}

function line(option: string, value: string | undefined, about: string): string {
  const name = `--${option}${value === undefined ? '' : ` <${value}>`}`;
  return `  ${name.padEnd(21)} ${about}\n`;
}
