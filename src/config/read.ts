import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { SETTINGS, type Setting, type SettingName } from './settings.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const TRUE = new Set(['true', '1', 'yes', 'on']);
const FALSE = new Set(['false', '0', 'no', 'off']);

/** Reads settings one by one and remembers every problem, so that all can be shown at once. */
export class SettingsReader {
  readonly problems: string[] = [];
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  problem(text: string): void {
    this.problems.push(text);
  }

  /** The setting's text, from the variable or its `_FILE`; an empty value counts as a problem, not as unset. */
  text(name: SettingName): string | undefined {
    const setting: Setting = SETTINGS[name];
    const value = this.#raw(name, setting) ?? setting.default;
    if (value === undefined) return undefined;
    if (setting.oneOf !== undefined && !setting.oneOf.includes(value)) {
      this.problem(`${name} must be one of ${setting.oneOf.join(', ')}`);
      return undefined;
    }
    if (setting.kind === 'url' && !URL.canParse(value)) {
      this.problem(`${name} is not a URL`);
      return undefined;
    }
    return value;
  }

  required(name: SettingName): string {
    const value = this.text(name);
    if (value === undefined && !this.problems.some((problem) => problem.startsWith(name))) {
      this.problem(`${name} is required`);
    }
    return value ?? '';
  }

  boolean(name: SettingName): boolean | undefined {
    const value = this.text(name)?.trim().toLowerCase();
    if (value === undefined) return undefined;
    if (TRUE.has(value)) return true;
    if (FALSE.has(value)) return false;
    this.problem(`${name} must be true or false`);
    return undefined;
  }

  integer(name: SettingName): number {
    const setting: Setting = SETTINGS[name];
    const value = this.text(name) ?? '';
    const [min, max] =
      setting.kind === 'port' ? [0, 65_535] : [setting.min ?? 0, setting.max ?? Number.MAX_SAFE_INTEGER];
    const number = /^\d{1,15}$/.test(value) ? Number.parseInt(value, 10) : Number.NaN;
    if (number >= min && number <= max) return number;
    this.problem(`${name} must be a whole number from ${min} to ${max}`);
    return min;
  }

  /** The items of a comma separated setting. */
  list(name: SettingName): string[] {
    return (this.text(name) ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  }

  /** The setting as an absolute path. */
  path(name: SettingName): string | undefined {
    const value = this.text(name);
    return value === undefined ? undefined : resolve(value);
  }

  /** A variable that is no setting of Castellan, by the name that a setting gives. */
  variable(name: string): string | undefined {
    return this.#env[name];
  }

  /** Names every CASTELLAN_ variable that is not a setting: a misspelt guard must not pass for an absent one. */
  refuseUnknown(): void {
    for (const name of Object.keys(this.#env)
      .filter((key) => key.startsWith('CASTELLAN_'))
      .sort()) {
      if (!isKnown(name)) this.problem(`${name} is not a setting of Castellan`);
    }
  }

  #raw(name: SettingName, setting: Setting): string | undefined {
    const direct = this.#env[name];
    const file = setting.secret === true ? this.#env[`${name}_FILE`] : undefined;
    if (direct !== undefined && file !== undefined) {
      this.problem(`${name} and ${name}_FILE are both set`);
      return undefined;
    }
    const value = file === undefined ? direct : this.#file(`${name}_FILE`, file);
    if (value === '' && setting.default !== '') {
      this.problem(`${name} is set but empty`);
      return undefined;
    }
    return value;
  }

  #file(name: string, path: string): string | undefined {
    try {
      return readFileSync(path, 'utf8').trim();
    } catch (error) {
      this.problem(`${name} cannot be read (${error instanceof Error && 'code' in error ? error.code : 'unknown'})`);
      return undefined;
    }
  }
}

function isKnown(name: string): boolean {
  if (Object.hasOwn(SETTINGS, name)) return true;
  const base = name.endsWith('_FILE') ? name.slice(0, -'_FILE'.length) : undefined;
  if (base === undefined || !Object.hasOwn(SETTINGS, base)) return false;
  const setting: Setting | undefined = Object.entries(SETTINGS).find(([key]) => key === base)?.[1];
  return setting?.secret === true;
}
