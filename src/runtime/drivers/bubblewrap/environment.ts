/** Where the egress proxy is reached inside: socat listens there and relays to the socket that is bound in. */
export const PROXY_PORT = 3128;

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

export interface EnvironmentRequest {
  readonly env: Readonly<Record<string, string>>;
  readonly toolchains: readonly string[];
  readonly hasEgress: boolean;
}

/** All variables of what runs inside. What is asked for goes before what everything gets; the proxy is not theirs to choose. */
export function sandboxEnvironment(request: EnvironmentRequest): Record<string, string> {
  for (const [name, value] of Object.entries(request.env)) {
    if (!NAME.test(name)) throw new TypeError('a variable has a name that is none');
    // Would end the argument: what comes after it would be an option of bwrap.
    if (value.includes('\0')) throw new TypeError(`the variable ${name} contains a NUL`);
  }
  const toolchains = request.toolchains.map((path) => `${path}/bin`);
  return {
    PATH: [...toolchains, '/usr/local/bin', '/usr/bin', '/bin'].join(':'),
    HOME: '/workspace',
    TMPDIR: '/tmp',
    LANG: 'C.UTF-8',
    ...request.env,
    ...(request.hasEgress ? proxyVariables() : {}),
  };
}

/**
 * What the dynamic loader, the C library or a shell act upon before a program begins (ld.so(8), "unsecure" variables; bash's
 * own). In the first process inside they would run code of the command where the service listens to how the command fares.
 */
const ACTED_UPON =
  /^(?:LD_\w*|GLIBC_TUNABLES|GCONV_PATH|GETCONF_DIR|LOCPATH|NLSPATH|MALLOC_\w*|RES_OPTIONS|RESOLV_HOST_CONF|LOCALDOMAIN|HOSTALIASES|NIS_PATH|BASH_ENV|BASHOPTS|SHELLOPTS|ENV|PS4|IFS|POSIXLY_CORRECT)$/;

export interface HeldBack {
  /** For bwrap: variables that only the command may have are values of `carriers`. */
  readonly env: Readonly<Record<string, string>>;
  /** Names of variables that hold NAME=value, to become variables of the command. */
  readonly carriers: readonly string[];
}

/** The same variables, those that programs act upon by themselves packed away until the command itself begins. */
export function holdBack(all: Readonly<Record<string, string>>): HeldBack {
  const env: Record<string, string> = {};
  const carriers: string[] = [];
  for (const [name, value] of Object.entries(all)) {
    if (ACTED_UPON.test(name)) {
      let n = carriers.length;
      while (`castellan_${n}` in all || carriers.includes(`castellan_${n}`)) n += 1;
      carriers.push(`castellan_${n}`);
      env[`castellan_${n}`] = `${name}=${value}`;
    } else {
      env[name] = value;
    }
  }
  return { env, carriers };
}

function proxyVariables(): Record<string, string> {
  const proxy = `http://127.0.0.1:${PROXY_PORT}`;
  const direct = 'localhost,127.0.0.1,::1';
  return {
    HTTP_PROXY: proxy,
    HTTPS_PROXY: proxy,
    http_proxy: proxy,
    https_proxy: proxy,
    NO_PROXY: direct,
    no_proxy: direct,
  };
}
