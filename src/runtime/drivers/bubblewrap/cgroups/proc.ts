/** One line of /proc/self/mountinfo (proc(5)). */
export interface Mount {
  /** What of the filesystem is mounted. */
  readonly root: string;
  readonly point: string;
  readonly options: readonly string[];
  readonly type: string;
  readonly superOptions: readonly string[];
}

/** One line of /proc/self/cgroup (cgroups(7)); of v2 without controllers. */
export interface OwnCgroup {
  readonly version: 1 | 2;
  readonly controllers: readonly string[];
  readonly path: string;
}

export function parseMountinfo(text: string): Mount[] {
  return linesOf(text).flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root, point, options] = before.split(' ');
    const [type, , superOptions] = after.split(' ');
    if (root === undefined || point === undefined || options === undefined || type === undefined) return [];
    return {
      root: unescaped(root),
      point: unescaped(point),
      options: options.split(','),
      type,
      superOptions: (superOptions ?? '').split(','),
    };
  });
}

export function parseSelfCgroup(text: string): OwnCgroup[] {
  return linesOf(text).flatMap((line): OwnCgroup[] => {
    const [, id, controllers, path] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? [];
    if (id === undefined || controllers === undefined || path === undefined) return [];
    if (id === '0' && controllers === '') return [{ version: 2, controllers: [], path }];
    return [{ version: 1, controllers: controllers.split(','), path }];
  });
}

/** The value of `name` in a file of `name value` lines, such as memory.events; undefined when it is not told. */
export function counter(text: string, name: string): number | undefined {
  const line = linesOf(text).find((one) => one.startsWith(`${name} `));
  return line === undefined ? undefined : whole(line.slice(name.length + 1));
}

/** A file of one whole number. */
export function whole(text: string): number | undefined {
  return /^\d+$/.test(text.trim()) ? Number(text) : undefined;
}

export function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

/** Spaces, tabs, line ends and backslashes are octal in mountinfo. */
function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
