import { DockerfileParser, type From, type Instruction } from 'dockerfile-ast';
import { ValidationSeverity, validate } from 'dockerfile-utils';

import { isExactVersion, type Problem, problemsOf } from './rules.ts';

const WARNINGS = {
  deprecatedMaintainer: ValidationSeverity.ERROR,
  directiveCasing: ValidationSeverity.ERROR,
  emptyContinuationLine: ValidationSeverity.ERROR,
  instructionCasing: ValidationSeverity.ERROR,
  instructionCmdMultiple: ValidationSeverity.ERROR,
  instructionEntrypointMultiple: ValidationSeverity.ERROR,
  instructionHealthcheckMultiple: ValidationSeverity.ERROR,
  instructionJSONInSingleQuotes: ValidationSeverity.ERROR,
  instructionWorkdirRelative: ValidationSeverity.ERROR,
};

/** A name that says what it holds has no business in a layer, where everybody can read it. */
const SECRET = /secret|password|passwd|token|api_?key|private_?key|credential|_url$/i;
const STOP_SIGNALS = ['SIGTERM', 'SIGINT'];

/** What is wrong with a Dockerfile: the linter's findings and the rules of this project, as readable lines. */
export function dockerfileProblems(text: string): string[] {
  const linted = validate(text, WARNINGS).map(({ message, range }) => `line ${range.start.line + 1}: ${message}`);
  const file = DockerfileParser.parse(text);
  const froms = file.getFROMs();
  const last = froms.at(-1);
  if (last === undefined) return [...linted, 'no FROM'];
  const args = new Map(
    file.getInitialARGs().flatMap((arg) => {
      const property = arg.getProperty();
      return property === null ? [] : [[property.getName(), property.getValue() ?? ''] as const];
    }),
  );
  const all = file.getInstructions();
  const final = all.filter((one) => startOf(one) > startOf(last));
  return [
    ...linted,
    ...froms.flatMap((from) => baseProblems(from, froms, args)),
    ...all.flatMap(layerProblems),
    ...finalProblems(final),
  ];
}

/** A base is an earlier stage, or an image by an exact version. */
function baseProblems(from: From, froms: readonly From[], args: ReadonlyMap<string, string>): string[] {
  const image = (from.getImage() ?? '').replace(/\$\{?(\w+)\}?/g, (whole, name: string) => args.get(name) ?? whole);
  if (froms.some((other) => other.getBuildStage() === image && startOf(other) < startOf(from))) return [];
  return isExactVersion(image) ? [] : [`${image}: not an exact version`];
}

function layerProblems(one: Instruction): string[] {
  const keyword = one.getKeyword();
  const text = one.getArgumentsContent() ?? '';
  if (keyword === 'ADD') return ['ADD: use COPY, which neither fetches nor unpacks'];
  if (keyword === 'RUN') return runProblems(text);
  if (keyword !== 'ENV' && keyword !== 'ARG') return [];
  const names = [...text.matchAll(/(?:^|\s)(\w+)(?:=|$)/g)].map(([, name]) => name ?? '');
  return names.filter((name) => SECRET.test(name)).map((name) => `${keyword} ${name}: a secret in a layer`);
}

function runProblems(text: string): string[] {
  const has = (pattern: RegExp): boolean => pattern.test(text);
  const problems: Problem[] = [
    [has(/\b(curl|wget)\b/), 'RUN fetches from the network what nothing pins'],
    [has(/\bsudo\b/), 'RUN uses sudo'],
    [has(/\bapt-get\s+install\b/) && !has(/rm -rf \/var\/lib\/apt\/lists/), 'RUN leaves the lists of apt behind'],
    [has(/\bapt-get\s+install\b/) && !has(/--no-install-recommends/), 'RUN installs what apt recommends'],
    [has(/\bapt-get\s+(dist-)?upgrade\b/), 'RUN upgrades: the image is another one tomorrow'],
    [has(/\bnpm (install|i)\b/), 'RUN does not install from the lock file (npm ci)'],
    [has(/\bnpm ci\b/) && !has(/--ignore-scripts/), 'RUN lets packages run scripts'],
    [has(/\bchmod\b.*\b(777|a\+w)\b/), 'RUN opens files to everyone'],
  ];
  return problemsOf(problems);
}

/** What the image that is run must have. */
function finalProblems(final: readonly Instruction[]): string[] {
  const last = (keyword: string) => final.findLast((one) => one.getKeyword() === keyword);
  const text = (keyword: string): string => last(keyword)?.getArgumentsContent() ?? '';
  const user = last('USER');
  const health = text('HEALTHCHECK');
  const afterUser = user === undefined ? [] : final.filter((one) => startOf(one) > startOf(user));
  const problems: Problem[] = [
    // By number, for a Kubernetes node cannot tell whether a name is root.
    [!/^[1-9]\d*(:[1-9]\d*)?$/.test(text('USER')), 'USER: the last one is not a number other than 0'],
    [
      afterUser.some((one) => ['RUN', 'COPY', 'WORKDIR'].includes(one.getKeyword())),
      'the user that runs owns files of the image',
    ],
    [!isExec(last('ENTRYPOINT')), 'ENTRYPOINT: not in exec form, so a shell gets the signals'],
    [!isExec(last('CMD')), 'CMD: not in exec form, so a shell gets the signals'],
    [/^\["(\/bin\/)?(ba|da)?sh"/.test(text('ENTRYPOINT')), 'ENTRYPOINT: a shell'],
    [!/\bCMD\s*\[/.test(health), 'HEALTHCHECK: none in exec form'],
    [!health.includes('healthcheck.mjs'), 'HEALTHCHECK: does not ask /livez'],
    [!STOP_SIGNALS.includes(text('STOPSIGNAL')), 'STOPSIGNAL: not one that the service drains at'],
    [!final.some((one) => one.getKeyword() === 'ENV' && /NODE_ENV=production/.test(one.getTextContent())), 'NODE_ENV'],
    [
      final.some((one) => /\bnpm (ci|install)\b/.test(one.getTextContent())),
      'packages are installed in the last stage',
    ],
    [final.some(copiesContext), 'COPY: takes the whole build context'],
    [
      final.some((one) => one.getKeyword() === 'COPY' && !/--(from|chmod)=/.test(one.getTextContent())),
      'COPY: a file keeps the mode of the checkout, which may be closed to the user that runs',
    ],
  ];
  return problemsOf(problems);
}

function copiesContext(one: Instruction): boolean {
  const words = one.getArguments().map((argument) => argument.getValue());
  return one.getKeyword() === 'COPY' && !/--from=/.test(one.getTextContent()) && words[0] === '.';
}

function isExec(one: Instruction | undefined): boolean {
  return /^\[\s*"[^"]+"(\s*,\s*"[^"]*")*\s*\]$/.test(one?.getArgumentsContent() ?? '');
}

function startOf(one: Instruction): number {
  return one.getRange().start.line;
}
