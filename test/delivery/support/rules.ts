import { SETTINGS, type Setting } from '../../../src/config/settings.ts';

/** A rule's finding: whether it is broken, and what to say then. */
export type Problem = readonly [broken: boolean, says: string];

export function problemsOf(problems: readonly Problem[]): string[] {
  return problems.filter(([broken]) => broken).map(([, says]) => says);
}

/** `name:1.2…` or a digest; never a tag that moves from one release to the next. */
export function isExactVersion(image: string): boolean {
  if (/@sha256:[0-9a-f]{64}$/.test(image)) return true;
  return /^v?\d+\.\d+(\.\d+)?(-|$)/.test(image.split('/').at(-1)?.split(':')[1] ?? '');
}

/** Variables for the service: known to it, and secrets by file only. */
export function settingProblems(environment: Readonly<Record<string, string>>): Problem[] {
  const settings: Readonly<Record<string, Setting>> = SETTINGS;
  return Object.keys(environment).flatMap((name): Problem[] => {
    const base = name.replace(/_FILE$/, '');
    const known = Object.hasOwn(settings, name) || settings[base]?.secret === true;
    return [
      [!known, `${name}: not a setting`],
      [settings[name]?.secret === true, `${name}: a secret by value`],
    ];
  });
}
