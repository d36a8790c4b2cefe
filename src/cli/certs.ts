import { makeDevelopmentCertificates } from '../certs/development.ts';
import { loadDevConfig } from '../config.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions } from './command.ts';

const USAGE = `Usage: castellan certs dev

Makes the development CA, the server certificate, one client certificate per role and the identity map in
CASTELLAN_CERTS_DIR. What is there and valid stays.
`;

export const certsCommand: Command = {
  name: 'certs dev',
  summary: 'make development certificates',
  run: (argv, io) => guarded(io, USAGE, () => makeCertificates(argv, io)),
};

async function makeCertificates(argv: readonly string[], io: CommandIo): Promise<number> {
  if (parseOptions(argv, {}).values.help === true) {
    io.stdout.write(USAGE);
    return EXIT.ok;
  }
  const config = loadDevConfig(io.env);
  await makeDevelopmentCertificates(config.certsDir, { trustDomain: config.service.identity.trustDomain });
  io.stdout.write(`Certificates are in ${config.certsDir}.\n`);
  return EXIT.ok;
}
